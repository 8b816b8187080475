import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as z from 'zod'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { Sink } from '../../runtime/connectors/sink.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { getState, listCheckpoints } from '../../runtime/embedded/inspect.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { count, monotonous, ndjson, pipeline, tumbling, value } from '../../runtime/index.ts'
import { checkpointsOf } from '../../runtime/inspect/checkpoints.ts'
import { stagesOf } from '../../runtime/inspect/stages.ts'
import { stateOf } from '../../runtime/inspect/state.ts'

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
      /there is no operator 'user' with state; there is users, /,
    )
    await assert.rejects(stateOf(ports, meta, { ...query, state: 'sen' }), /operator 'users' has no state 'sen'; it has seen/)
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
