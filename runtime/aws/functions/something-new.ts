import type { Decision } from '../../checkpoint/decision.ts'
import type { CommitLog } from '../../ports.ts'
import { type Counts, decodeItem } from '../../protocol/item.ts'
import { loadHead } from '../../protocol/log.ts'
import type { Topology } from '../../stage/topology.ts'

/** Whether anything flowed since the last checkpoint: any subtask that took, sent or wrote records behind its cut. Barriers and watermarks are no records. */
export async function somethingNew(
  topology: Topology,
  last: { readonly checkpoint: number; readonly decision: Decision } | undefined,
  log: CommitLog,
): Promise<boolean> {
  const subtasks = topology.stages.flatMap(at =>
    Array.from({ length: at.parallelism }, (_, shard) => topology.log(at.stage.index, shard)),
  )
  const found = await Promise.all(subtasks.map(name => isNew(name, last, log)))
  return found.includes(true)
}

async function isNew(
  name: string,
  last: { readonly checkpoint: number; readonly decision: Decision } | undefined,
  log: CommitLog,
): Promise<boolean> {
  const { head } = await loadHead(log, name, Number.POSITIVE_INFINITY)
  if (head.version === 0) return false
  const { alignment, counts, firing } = head.fields
  if (last?.decision.outcome !== 'complete' || alignment?.checkpoint !== last.checkpoint || firing.length > 0) return true
  const bytes = await log.get(name, alignment.version)
  const item = bytes === undefined ? undefined : decodeItem(bytes)
  return item?.kind !== 'commit' || flowed(item.head.counts, counts)
}

function flowed(before: Counts, now: Counts): boolean {
  const counted = ['recordsIn', 'recordsOut', 'deadLetters', 'results'] as const
  return counted.some(count => before[count] !== now[count])
}
