import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import * as z from 'zod'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import {
  count,
  fileSink,
  fileSource,
  monotonous,
  ndjson,
  pipeline,
  print,
  type Stream,
  sliding,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'

const Event = z.object({ key: z.string(), at: z.number() })

test('at the end of the input processing-time windows fire, and a timer that sets itself again does not hold the end up', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'))
  const events = Array.from({ length: 300 }, (_, i) => ({ key: `k${i % 3}`, at: i }))
  writeFileSync(join(dir, 'in.ndjson'), events.map(e => `${JSON.stringify(e)}\n`).join(''))
  const app = pipeline('ends')
  const keyed = app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() }).keyBy('key')
  keyed
    .window(tumbling('1h', { time: 'processing' }))
    .aggregate(count(), (n, { key }) => ({ key, n }))
    .sink('windows', print())
  keyed
    .process({
      state: { seen: value<number>() },
      onRecord(_event, ctx) {
        ctx.state.seen.set((ctx.state.seen.get() ?? 0) + 1)
        if (ctx.state.seen.get() === 1) ctx.timers.processing.set(ctx.processingTime() + 3_600_000)
        return []
      },
      onTimer(at, ctx) {
        ctx.timers.processing.set(at + 1000)
        return [{ key: ctx.key, n: ctx.state.seen.get() }]
      },
    })
    .sink('timers', print())
  await runEmbedded(app.graph(), {
    sources: { events: fileSource([join(dir, 'in.ndjson')]) },
    sinks: { windows: fileSink(join(dir, 'windows.ndjson')), timers: fileSink(join(dir, 'timers.ndjson')) },
  })
  for (const name of ['windows', 'timers']) {
    const rows = readFileSync(join(dir, `${name}.ndjson`), 'utf8')
      .trim()
      .split('\n')
      .map(l => JSON.parse(l))
    assert.deepEqual(
      rows,
      ['k0', 'k1', 'k2'].map(key => ({ key, n: 100 })),
      name,
    )
  }
})

/** Runs on these events; rows of the sink `out`. */
async function results(
  build: (events: Stream<{ key: string; at: number }>) => { sink(name: string, sink: any): unknown },
  options = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'))
  const input = join(dir, 'in.ndjson')
  const events = Array.from({ length: 20 }, (_, i) => ({ key: `k${i % 2}`, at: i * 100 }))
  writeFileSync(input, events.map(e => `${JSON.stringify(e)}\n`).join(''))
  const app = pipeline('ends')
  build(app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })).sink('out', print())
  const out = join(dir, 'out.ndjson')
  const summary = await runEmbedded(app.graph(), {
    sources: { events: fileSource([input]) },
    sinks: { out: fileSink(out) },
    ...options,
  })
  const lines = existsSync(out) ? readFileSync(out, 'utf8').split('\n').filter(Boolean) : []
  return { summary, rows: lines.map(line => JSON.parse(line)).sort((a, b) => (a.key < b.key ? -1 : 1)) }
}

test('what event timers give at the end reaches the processing-time windows behind them, in one stage or in two', async () => {
  const ways = {
    'the same stage': (events: Stream<{ key: string; at: number }>) =>
      events
        .keyBy('key')
        .window(tumbling('1s'))
        .aggregate(count(), (n, { key }) => ({ key, n }))
        .window(tumbling('1h', { time: 'processing' }))
        .aggregate(sum('n'), (n, { key }) => ({ key, n })),
    'another key': (events: Stream<{ key: string; at: number }>) =>
      events
        .keyBy('key')
        .window(tumbling('1s'))
        .aggregate(count(), (n, { key }) => ({ key: `${key}`, n }))
        .keyBy(e => e.key)
        .window(tumbling('1h', { time: 'processing' }))
        .aggregate(sum('n'), (n, { key }) => ({ key, n })),
    'an event timer that sets a processing timer': (events: Stream<{ key: string; at: number }>) =>
      events.keyBy('key').process({
        state: { n: value<number>() },
        onRecord(_event, ctx) {
          ctx.state.n.set((ctx.state.n.get() ?? 0) + 1)
          ctx.timers.event.set(10_000)
        },
        onTimer(_at, ctx, domain) {
          if (domain === 'event') ctx.timers.processing.set(ctx.processingTime() + 5000)
          else return [{ key: ctx.key, n: ctx.state.n.get() }]
        },
      }),
  }
  for (const [way, build] of Object.entries(ways)) {
    for (const options of [{ parallelism: 1 }, { parallelism: 3 }, { chaining: false }, { stateMemory: 1, batchSize: 1 }]) {
      const { rows } = await results(build as any, options)
      assert.deepEqual(
        rows,
        [
          { key: 'k0', n: 10 },
          { key: 'k1', n: 10 },
        ],
        `${way}, ${JSON.stringify(options)}`,
      )
    }
  }
})

test('sliding processing-time windows all fire at the end, in panes as without', async () => {
  const four = (rows: any[]) => rows.map(({ key, n }) => `${key} ${n}`)
  const window = sliding('4h', '1h', { time: 'processing' })
  const panes = await results(events =>
    events
      .keyBy('key')
      .window(window)
      .aggregate(count(), (n, { key }) => ({ key, n })),
  )
  const general = await results(events =>
    events
      .keyBy('key')
      .window(window)
      .process((records, { key }) => [{ key, n: records.length }]),
  )
  assert.deepEqual(four(general.rows), ['k0 10', 'k0 10', 'k0 10', 'k0 10', 'k1 10', 'k1 10', 'k1 10', 'k1 10'])
  assert.deepEqual(four(panes.rows), four(general.rows))
})

test('an event timer that sets itself again fires for ever, and the run can be stopped all the same', async () => {
  const stop = new AbortController()
  const { summary } = await results(
    events =>
      events.keyBy('key').process({
        state: { n: value<number>() },
        onRecord(e, ctx) {
          ctx.timers.event.set(e.at + 1000)
        },
        onTimer(at, ctx) {
          ctx.timers.event.set(at + 1000)
          if (at > 1_000_000) stop.abort()
        },
      }) as any,
    { signal: stop.signal },
  )
  assert.equal(summary.outcome, 'stopped')
  assert.equal(summary.checkpoints.failed, 1)
})
