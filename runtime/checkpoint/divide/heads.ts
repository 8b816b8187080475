import type { Counts, HeadFields } from '../../protocol/item.ts'
import { emptyHead, sumOf } from '../../protocol/item.ts'
import type { StageTopology } from '../../stage/topology.ts'
import type { SubtaskSnapshot } from '../manifest.ts'
import { type Former, heirsIn, originsOf } from './former.ts'

/** Of all former subtasks: logs go on from one version, whoever had a part of it. */
export function versionOf({ manifest }: Former): number {
  return Math.max(...manifest.subtasks.map(s => s.version))
}

/** Those whose key groups a subtask has got any of. */
export function originsFor(former: Former, at: StageTopology, shard: number): SubtaskSnapshot[] {
  return former.stages
    .filter(stage => stage.heirs.includes(at))
    .flatMap(stage => originsOf(former, stage, at, shard).map(i => stage.subtasks[i]!))
}

/**
 * What a subtask is besides keyed state, where it takes the place of others. Its watermark is the lowest of theirs (protocol.md, D8): nothing is late that was not. What they were told of watermarks is not known of its own
 * producers, which are others too; each has come as far as it begins with itself. Who is idle says so again.
 */
export function headOf(former: Former, at: StageTopology, shard: number): HeadFields {
  const origins = originsFor(former, at, shard)
  if (at.stage.source !== undefined) return origins[0]!.head
  const timers = origins.flatMap(s => s.head.timerAt ?? [])
  const { topology } = former
  return {
    ...emptyHead,
    watermark: watermarkOf(former, at, shard),
    watermarks: topology.producersOf(at.stage.index, shard).map(producer => {
      const from = topology.stages.findLast(s => s.firstProducer <= producer)!
      return [producer, watermarkOf(former, from, producer - from.firstProducer)]
    }),
    counts: countsOf(former, at, shard),
    ...(timers.length > 0 && { timerAt: Math.min(...timers) }),
  }
}

function watermarkOf(former: Former, at: StageTopology, shard: number): number {
  return Math.min(...originsFor(former, at, shard).map(s => s.head.watermark))
}

/** Each former subtask's go on with one subtask, so that there are as many in all. */
function countsOf(former: Former, at: StageTopology, shard: number): Counts {
  const stages = former.stages.filter(s => s.heirs[0] === at)
  const mine = stages.flatMap(stage => stage.subtasks.filter(s => heirsIn(former, stage, s.shard, at)[0] === shard))
  return sumOf(mine.map(s => s.head.counts))
}
