import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as z from 'zod'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { Sink } from '../../runtime/connectors/sink.ts'
import type { SplitReader } from '../../runtime/connectors/source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { getState, listCheckpoints } from '../../runtime/embedded/inspect.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import { count, list, map, monotonous, ndjson, pipeline, sliding, tumbling, value } from '../../runtime/index.ts'
import { checkpointsOf } from '../../runtime/inspect/checkpoints.ts'
import { stagesOf } from '../../runtime/inspect/stages.ts'
import { stateOf } from '../../runtime/inspect/state.ts'
import type { WindowAssigner } from '../../runtime/windows/assigners.ts'

const silent: Sink<unknown> = {
  kind: 'silent',
  open: async () => ({ write() {}, flush: async () => undefined, close: async () => {} }),
  describe: () => 'nowhere',
}

test('stages, checkpoints and state of a run, through any ports', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-inspect-'))
  const input = ['one', 'other'].map((name, i) => {
    const path = join(directory, `${name}.ndjson`)
    const events = Array.from({ length: 10 }, (_, n) => ({ user: `u${n % 3}`, at: 1000 * n + i }))
    writeFileSync(path, events.map(event => `${JSON.stringify(event)}\n`).join(''))
    return path
  })
  const app = pipeline('visits')
  const Event = z.object({ user: z.string(), at: z.number() })
  app
    .source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
    .uid('in')
    .keyBy('user')
    .process({
      state: { seen: value<number>() },
      onRecord(event, { state }) {
        state.seen.set((state.seen.get() ?? 0) + 1)
        return [event]
      },
    })
    .uid('users')
    .parallelism(3)
    .keyBy('user')
    .window(tumbling('5s'))
    .aggregate(count())
    .sink('out', silent)
  const state = join(directory, 'state')
  await runEmbedded(app.graph(), { state, sources: { events: fileSource(input) } })

  const ports = await openEmbedded({ directory: state })
  try {
    const meta = (await readRun(ports))!
    const stages = await stagesOf(ports.log, meta)
    assert.deepEqual(
      stages.map(({ id, subtasks, counts }) => [id, subtasks, counts.recordsIn]),
      [
        ['in', 2, 20],
        ['users', 3, 20],
      ],
    )
    for (const stage of stages) {
      assert.equal(stage.watermark, Number.POSITIVE_INFINITY)
      assert.ok(stage.versions >= stage.subtasks)
    }
    const query = { operator: 'users', key: 'u0' }
    assert.deepEqual(await stateOf(ports, meta, query), [{ state: 'seen', value: 8 }])
    assert.deepEqual(await stateOf(ports, meta, { operator: 'users', key: 'nobody' }), [])
    await assert.rejects(
      stateOf(ports, meta, { operator: 'user', key: 'u0' }),
      /there is no operator 'user' with state: did you mean users\?$/,
    )
    await assert.rejects(
      stateOf(ports, meta, { ...query, state: 'sen' }),
      /operator 'users' has no state 'sen': did you mean seen\?$/,
    )
    await assert.rejects(stateOf(ports, meta, { operator: 'zzz', key: 'u0' }), /no operator 'zzz' with state: there is users/)
    const checkpoints = await checkpointsOf(ports, meta)
    assert.ok(checkpoints.length > 0)
    assert.equal(checkpoints.at(-1)!.status, 'complete')
    // The same as the embedded engine's own look has.
    await ports.close()
    assert.deepEqual(await listCheckpoints(state), checkpoints)
    assert.deepEqual(await getState(state, query), [{ state: 'seen', value: 8 }])
  } finally {
    await ports.close()
  }
})

/** As it was logged, and folded, with both backends. */
const BACKENDS: readonly Pick<RunOptions, 'stateBackend' | 'stateMemory'>[] = [
  {},
  { stateMemory: 1 },
  { stateBackend: 'segments' },
  { stateBackend: 'segments', stateMemory: 1 },
]
for (const backend of BACKENDS)
  test(`state is shown as its handles show it: lists, maps, broadcast state, and nothing whose time is over ${JSON.stringify(backend)}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'millrace-inspect-'))
    const path = join(directory, 'in.ndjson')
    const Event = z.object({ user: z.string(), at: z.number() })
    const events = Array.from({ length: 100 }, (_, i) => ({ user: `u${i === 0 ? 'old' : i % 2}`, at: i * 1000 }))
    writeFileSync(path, events.map(event => `${JSON.stringify(event)}\n`).join(''))
    const app = pipeline('handles')
    const source = app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
    const states = {
      last: value<number>({ ttl: '10s' }),
      recent: list<number>({ ttl: '5s' }),
      everyone: list<number>(),
      counts: map<string, number>({ ttl: '3s' }),
      onTheClock: value<number>({ ttl: { after: '1h', time: 'processing' } }),
    }
    source
      .keyBy('user')
      .connect(source.filter(e => e.at < 3000).broadcast())
      .process({
        state: states,
        broadcast: { first: map<number, string>() },
        onRecord({ at }, { state }) {
          state.last.set(at)
          state.recent.add(at)
          if (at >= 96_000) state.everyone.add(at)
          state.counts.set(`at ${at}`, 1)
          state.onTheClock.set(at)
          return []
        },
        onBroadcast(event, { broadcast }) {
          broadcast.first.set(event.at, event.user)
        },
      })
      .uid('users')
      .parallelism(2)
      .sink('out', silent)

    // Stopped before the end, all of the input taken: event time stands at 99 s.
    const state = join(directory, 'state')
    const stop = new AbortController()
    const endless = { ...fileSource([path]), open: async (split: string) => stopping(await fileSource([path]).open(split), stop) }
    const summary = await runEmbedded(app.graph(), { state, sources: { events: endless }, signal: stop.signal, ...backend })
    assert.equal(summary.outcome, 'stopped')

    const get = (key: string | undefined, name?: string) => getState(state, { operator: 'users', key, state: name })
    assert.deepEqual(await get('u1'), [
      { state: 'last', value: 99_000 },
      { state: 'recent', value: [95_000, 97_000, 99_000] },
      { state: 'everyone', value: [97_000, 99_000] },
      {
        state: 'counts',
        value: [
          ['at 97000', 1],
          ['at 99000', 1],
        ],
      },
      { state: 'onTheClock', value: 99_000 },
    ])
    assert.deepEqual(await get('uold'), [{ state: 'onTheClock', value: 0 }])
    assert.deepEqual(await get('u1', 'recent'), [{ state: 'recent', value: [95_000, 97_000, 99_000] }])
    const broadcast = [0, 1, 2].map(n => [n * 1000, events[n]!.user])
    assert.deepEqual(await get(undefined), [{ state: 'first', value: broadcast }])
    assert.deepEqual(await get(undefined, 'first'), [{ state: 'first', value: broadcast }])
    await assert.rejects(get('u1', 'recent#'), /has no state 'recent#': did you mean recent\?$/)
    await assert.rejects(get('u1', 'xyz'), /has no state 'xyz': there is last, recent, everyone, counts, onTheClock and first$/)

    const db = await openEmbedded({ directory: state })
    try {
      const meta = (await readRun(db))!
      const in2h = Date.now() + 7_200_000
      assert.deepEqual(await stateOf(db, meta, { operator: 'users', key: 'uold' }, in2h), [])
    } finally {
      await db.close()
    }

    // Event time ends with the input: what was there stays.
    await runEmbedded(app.graph(), { state, sources: { events: fileSource([path]) } })
    assert.deepEqual((await get('uold', 'last'))[0]?.value, 0)
  })

test('panes are shown by the time at which they begin; windows of another size can not go on with them', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-inspect-'))
  const path = join(directory, 'in.ndjson')
  const start = Date.parse('2026-06-01T00:30:00Z')
  const Event = z.object({ user: z.string(), at: z.number() })
  const events = [0, 1, 30, 95].map(s => ({ user: 'u1', at: start + s * 1000 }))
  writeFileSync(path, events.map(event => `${JSON.stringify(event)}\n`).join(''))
  const windowed = (assigner: WindowAssigner<unknown>) => {
    const app = pipeline('panes')
    app
      .source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
      .keyBy('user')
      .window(assigner)
      .aggregate(count())
      .uid('counts')
      .sink('out', silent)
    return app.graph()
  }
  const state = join(directory, 'state')
  const stop = new AbortController()
  const endless = { ...fileSource([path]), open: async (split: string) => stopping(await fileSource([path]).open(split), stop) }
  const run = (assigner: WindowAssigner<unknown>) =>
    runEmbedded(windowed(assigner), { state, sources: { events: endless }, signal: stop.signal })
  await run(sliding('1h', '70s', { offset: '5s' }))

  assert.deepEqual(await getState(state, { operator: 'counts', key: 'u1' }), [
    {
      state: 'panes',
      value: [
        ['2026-06-01T00:29:55.000Z', 2],
        ['2026-06-01T00:30:25.000Z', 1],
        ['2026-06-01T00:31:35.000Z', 1],
      ],
    },
  ])
  for (const other of [
    sliding('1h', '70s'),
    sliding('30m', '70s', { offset: '5s' }),
    sliding('1h', '140s', { offset: '5s' }),
    sliding('1h', '70s', { offset: '5s', time: 'processing' }),
  ])
    await assert.rejects(run(other), /panes of counts: it was map of 1h every 70s from 5s by event time and is map of /)
})

/** Reads a split as a source that goes on for ever, and stops the run once all that there is was taken. */
function stopping(reader: SplitReader, stop: AbortController): SplitReader {
  return {
    async read(position, limit) {
      const batch = await reader.read(position, limit)
      if (batch.records.length === 0) stop.abort()
      return { ...batch, after: i => batch.after(i), done: false }
    },
    close: () => reader.close(),
  }
}
