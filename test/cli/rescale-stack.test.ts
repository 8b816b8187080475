import assert from 'node:assert/strict'
import { test } from 'node:test'
import { putLayouts, readLayouts } from '../../runtime/checkpoint/layouts.ts'
import { putPause } from '../../runtime/checkpoint/pauses.ts'
import type { RunMeta } from '../../runtime/checkpoint/run-meta.ts'
import type { Control } from '../../runtime/cli/stack/control.ts'
import { rescaleStack } from '../../runtime/cli/stack/rescale-stack.ts'
import type { ShardCounts } from '../../runtime/cli/stack/shard-counts.ts'
import type { Stack } from '../../runtime/cli/stack/stack.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { evenStarts, firstLayout, relaid } from '../../runtime/stage/layout.ts'

const GROUPS = 128
const stack = {
  pipeline: 'shop',
  checkpoints: 'machine',
  checkpointFunction: 'controller',
  stages: { 'source-clicks': { mapping: 'a' }, sessions: { mapping: 'b', stream: 'shop.sessions' } },
} as unknown as Stack
const meta = { run: 'r', shape: JSON.stringify({ stages: [{ id: 'source-clicks' }, { id: 'sessions' }] }) } as unknown as RunMeta
const at = { parallelism: 8, stage: undefined, onWait: () => {} }

/** A stack whose subtasks take over with the second checkpoint: the first one has its barriers in closed shards. */
async function open({ outcome = 'complete', mapping = 'Enabled', stuckAt = Number.POSITIVE_INFINITY } = {}) {
  const { log } = await openEmbedded()
  let now = 0
  const clock = {
    now: () => now,
    sleep: async (ms: number) => {
      now += ms
    },
  }
  const updates: number[] = []
  let shards = 2
  const counts: ShardCounts = {
    of: async () => ({ open: shards, isActive: true }),
    async update(_, to) {
      assert.ok(to <= shards * 2 && to >= shards / 2)
      updates.push(to)
      if (shards < stuckAt) shards = to
    },
  }
  let checkpoints = 0
  const control = {
    mappingState: async () => mapping,
    invoke: async () => ({ run: 'r', stages: shards === 2 ? [{ stage: 'sessions', from: 2, to: 8 }] : [] }),
    startExecution: async () => ({ arn: 'x', startedAt: 0 }),
    async execution() {
      if (outcome === 'nothing') return { status: 'SUCCEEDED', output: { outcome } }
      if (++checkpoints === 1) return { status: 'FAILED', cause: 'r/sessions/2 took over while barriers were on their way' }
      const layout = relaid(firstLayout(2, GROUPS), evenStarts(8, GROUPS), GROUPS)!
      if (checkpoints === 2) await putLayouts(log, 'r', [[1, layout]], await readLayouts(log, 'r'))
      for (let shard = 2; shard < 10; shard++) await putPause(log, `r/sessions/${shard}`, { waitedMs: shard, tookMs: 1 })
      return { status: 'SUCCEEDED', output: { outcome, checkpoint: checkpoints } }
    },
  } as unknown as Control
  return { run: () => rescaleStack(control, counts, stack, { log }, meta, clock, at), updates }
}

test('a stack is rescaled in steps that Kinesis can do, and checkpoints are taken until all that take over have begun', async () => {
  const { run, updates } = await open()
  const { stages, begun } = await run()
  assert.deepEqual([updates, begun], [[4, 8], true])
  assert.deepEqual(
    stages[0]!.pauses.map(({ waitedMs }) => waitedMs),
    [2, 3, 4, 5, 6, 7, 8, 9],
  )
  assert.deepEqual(await run(), { stages: [], begun: true }, 'it has as many already')
})

test('of one where nothing flows nobody is waited for; one that is stopped is refused', async () => {
  const { begun, stages } = await (await open({ outcome: 'nothing' })).run()
  assert.deepEqual([begun, stages[0]!.pauses], [false, []])
  const stopped = await open({ mapping: 'Disabled' })
  await assert.rejects(stopped.run(), /shop does not run: the mapping of stage source-clicks is Disabled/)
  assert.deepEqual(stopped.updates, [])
})

test('a stream that Kinesis accepts a change of, and does not change, is given up by name; it is asked once, as it takes few changes a day', async () => {
  const { run, updates } = await open({ stuckAt: 4 })
  await assert.rejects(
    run(),
    /stream shop\.sessions was to get 8 shards, which was accepted, and after 1 min 1 s it has 4: give the command again/,
  )
  assert.deepEqual(updates, [4, 8])
})
