import { type Counts, emptyHead, type HeadFields, sumOf } from '../../protocol/item.ts'
import { SnapshotError } from '../../snapshot/error.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { type Former, heirsIn, originsFor } from './former.ts'

/** Of all former subtasks: logs go on from one version, whoever had a part of it. */
export function versionOf({ manifest }: Former): number {
  return Math.max(...manifest.subtasks.map(s => s.version))
}

/**
 * What a subtask is besides keyed state, where it takes the place of others. Its watermark is the lowest of theirs (protocol.md, D8): nothing is late that was not. What they were told of watermarks is not known of its own
 * producers, which are others too; each has come as far as it begins with itself. Who is idle says so again.
 */
export function headOf(former: Former, at: StageTopology, shard: number): HeadFields {
  const origins = originsFor(former, at, shard)
  if (origins.some(o => o.head.firing.length > 0))
    throw new SnapshotError('the checkpoint was taken while timers were firing: start from another one')
  const timers = origins.flatMap(s => s.head.timerAt ?? [])
  const { topology } = former
  const source = at.stage.source === undefined ? undefined : origins[0]?.head
  return {
    ...emptyHead,
    source: source?.source,
    sourceDone: source?.sourceDone ?? false,
    ...(source?.heardAt !== undefined && { heardAt: source.heardAt }),
    ...(source?.takesFrom !== undefined && { takesFrom: source.takesFrom }),
    watermark: watermarkOf(former, at, shard),
    watermarks: topology.producersOf(at.stage.index, shard).map(producer => {
      const from = topology.subtaskOfProducer(producer)
      return [producer, watermarkOf(former, topology.stages[from.stage]!, from.shard)]
    }),
    counts: countsOf(former, at, shard),
    ...(timers.length > 0 && { timerAt: Math.min(...timers) }),
  }
}

/** One that nobody was in the place of has not begun. */
function watermarkOf(former: Former, at: StageTopology, shard: number): number {
  const origins = originsFor(former, at, shard)
  return origins.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...origins.map(s => s.head.watermark))
}

/** Each former subtask's go on with one subtask, so that there are as many in all. */
function countsOf(former: Former, at: StageTopology, shard: number): Counts {
  const { origins, topology } = former
  const stages = origins[at.stage.index]!.filter(s => topology.stages.find((_, i) => origins[i]!.includes(s)) === at)
  const mine = stages.flatMap(stage => stage.subtasks.filter(s => heirsIn(former, s, at)[0] === shard))
  return sumOf(mine.map(s => s.head.counts))
}
