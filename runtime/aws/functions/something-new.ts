import type { Decision } from '../../checkpoint/decision.ts'
import type { CommitLog } from '../../ports.ts'
import { type Counts, decodeItem } from '../../protocol/item.ts'
import { type Head, headOf } from '../../protocol/log.ts'
import { isSubtask } from '../../stage/layout.ts'
import type { Topology } from '../../stage/topology.ts'
import type { Seen } from './environment.ts'

/** Of all subtasks that are at work, by stage. */
export type Heads = readonly (readonly SubtaskHead[])[]

export interface SubtaskHead {
  readonly shard: number
  readonly log: string
  readonly head: Head
}

/** `seen`: see Environment. */
export function loadHeads(topology: Topology, log: CommitLog, { heads: known }: Seen): Promise<Heads> {
  const load = async (name: string, shard: number) => ({ shard, log: name, head: await headOf(log, name, known) })
  return Promise.all(
    topology.stages.map(async ({ stage }) => {
      const shards = topology.layout(stage.index).filter(isSubtask)
      const heads = await Promise.all(shards.map(({ shard }) => load(topology.log(stage.index, shard), shard)))
      // One that is to take over has begun nothing as long as those before it are at work.
      return heads.filter(
        ({ head, shard }) => !head.sealed && (head.version > 0 || shards.find(s => s.shard === shard)!.parents.length === 0),
      )
    }),
  )
}

/** Whether anything flowed since the last checkpoint: any subtask that took, sent or wrote records behind its cut. Barriers and watermarks are no records. */
export async function somethingNew(
  heads: Heads,
  last: { readonly checkpoint: number; readonly decision: Decision } | undefined,
  log: CommitLog,
  seen: Seen,
): Promise<boolean> {
  const found = await Promise.all(heads.flat().map(subtask => isNew(subtask, last, log, seen)))
  return found.includes(true)
}

async function isNew(
  { log: name, head }: SubtaskHead,
  last: { readonly checkpoint: number; readonly decision: Decision } | undefined,
  log: CommitLog,
  seen: Seen,
): Promise<boolean> {
  if (head.version === 0) return false
  const { alignment, counts, firing, injection } = head.fields
  // A restored subtask takes what was on its way to it when something wakes it, and a barrier does (D8).
  if (injection !== undefined) return true
  if (last?.decision.outcome !== 'complete' || alignment?.checkpoint !== last.checkpoint || firing.length > 0) return true
  const before = await countsAt(log, name, alignment.version, seen)
  return before === undefined || flowed(before, counts)
}

/** A pipeline that has nothing to do is asked again and again, and its last cuts stay the same. */
async function countsAt(log: CommitLog, name: string, version: number, { cuts }: Seen): Promise<Counts | undefined> {
  const known = cuts.get(name)
  if (known?.version === version) return known.counts
  const bytes = await log.get(name, version)
  const item = bytes === undefined ? undefined : decodeItem(bytes)
  if (item?.kind !== 'commit') return undefined
  const { counts } = item.head
  cuts.set(name, { version, counts })
  return counts
}

function flowed(before: Counts, now: Counts): boolean {
  const counted = ['recordsIn', 'recordsOut', 'deadLetters', 'results'] as const
  return counted.some(count => before[count] !== now[count])
}
