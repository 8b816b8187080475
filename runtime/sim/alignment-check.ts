import type { CommitItem, HeadFields, SealItem } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import { subtaskOf } from './subtask-of.ts'

/**
 * What is wrong with the end of an alignment, if a commit is one: the barrier of each producer that counts by then has to be taken, of those too that took over from one of them (protocol.md, D3 and F2). What they sent before it would be
 * in no checkpoint. `newest`: the head of a log.
 */
export function alignmentFault(
  topology: Topology,
  log: string,
  before: CommitItem | undefined,
  { head }: CommitItem | SealItem,
  newest: (log: string) => HeadFields | undefined,
): string | undefined {
  const { alignment } = head
  if (alignment === undefined || alignment.pending.length > 0) return undefined
  const { checkpoint } = alignment
  const last = before?.head.alignment
  if (last?.checkpoint === checkpoint && last.pending.length === 0) return undefined
  const { stage, shard } = subtaskOf(topology, log)
  const taken = new Map(head.accepted.map(([producer, version]) => [producer, version]))
  /** Those that it comes of were through with their cut before their ends. */
  const hasCut = (producer: number): boolean => {
    const sent = newest(topology.logOfProducer(producer))
    if (sent !== undefined) return sent.lastCut >= checkpoint
    const from = topology.subtaskOfProducer(producer)
    const { parents } = topology.shard(from.stage, from.shard)
    return parents.length > 0 && parents.every(parent => hasCut(topology.producer(from.stage, parent)))
  }
  for (const producer of head.producers ?? topology.producersOf(stage.index, shard)) {
    const name = topology.logOfProducer(producer)
    if (!hasCut(producer)) return `it is through with barrier ${checkpoint}, which ${name} has not sent`
    const cut = newest(name)?.alignment
    const has = taken.get(producer) ?? 0
    // It may have begun behind the cuts of those that it comes of, or have gone on to a later one.
    if (cut?.checkpoint === checkpoint && has < cut.version)
      return `it is through with barrier ${checkpoint}, which ${name} sent in version ${cut.version}, and has taken ${has}`
  }
  return undefined
}
