import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../runtime/embedded/clock.ts'
import { type Shared, sourceLoop } from '../../runtime/embedded/loops.ts'
import { meter } from '../../runtime/embedded/meter.ts'
import { closable } from '../../runtime/embedded/open-shards.ts'
import { alignmentOf, sourceTimes } from '../../runtime/embedded/source-alignment.ts'
import { relaid } from '../../runtime/stage/layout.ts'
import { batch, harness } from '../engine/harness.ts'
import { entries, statements } from '../engine/ledger.ts'

const INPUT = entries(20)

test('who meets a closed shard waits for the news of its children, and does not use up its tries before', async () => {
  const { topology, ports: inMemory, environment } = await harness(statements(), { parallelism: 1 })
  const behind = topology.stages.filter(({ stage }) => stage.source === undefined).map(({ stage }) => stage.index)
  // The news comes while somebody waits for it.
  const sleep = async () => {
    const { keyGroups } = topology.plan.options
    for (const stage of behind) topology.adopt(stage, relaid(topology.layout(stage), [0, keyGroups / 2], keyGroups)!)
  }
  const streams = meter(closable(inMemory.streams), systemClock)
  const ports = { ...inMemory, streams, clock: { ...systemClock, sleep } }
  const subtask = environment(0, 0, { ports })
  for (const stage of behind) streams.close(topology.stream(stage), 0)
  const shared: Shared = {
    ports,
    streams,
    batchSize: undefined,
    startedAt: 0,
    stopping: () => false,
    ended: () => subtask.current?.working.sourceDone ?? false,
    congested: () => false,
    keepPace: () => false,
    keepOpen: false,
  }
  const reader = { read: async () => batch(INPUT, 0, INPUT.length), close: async () => {} }
  assert.equal(
    await sourceLoop(subtask, reader, undefined, alignmentOf(sourceTimes(topology), topology, 0, 0), shared, () => {}).run(),
    false,
  )
  assert.deepEqual(
    behind.map(stage => topology.layout(stage).length),
    behind.map(() => 3),
  )
})
