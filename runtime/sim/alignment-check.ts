import type { CommitItem, SealItem } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'

/**
 * What is wrong with the end of an alignment, if a commit is one: the barrier of each producer that counts by then has to be taken, of those too that took over from one of them (protocol.md, D3 and F2). What they sent before it would be
 * in no checkpoint. `newest`: the last commit of a log.
 */
export function alignmentFault(
  topology: Topology,
  log: string,
  before: CommitItem | undefined,
  { head }: CommitItem | SealItem,
  newest: (log: string) => CommitItem | undefined,
): string | undefined {
  const { alignment } = head
  if (alignment === undefined || alignment.pending.length > 0) return undefined
  const last = before?.head.alignment
  if (last?.checkpoint === alignment.checkpoint && last.pending.length === 0) return undefined
  const [, id, shard] = log.split('/')
  const { stage } = topology.stages.find(s => s.stage.id === id)!
  const taken = new Map(head.accepted.map(([producer, version]) => [producer, version]))
  for (const producer of head.producers ?? topology.producersOf(stage.index, Number(shard))) {
    const name = topology.logOfProducer(producer)
    const sent = newest(name)?.head
    const hasCut = sent?.alignment?.checkpoint === alignment.checkpoint
    // It began behind the cuts of its parents, whose barriers came before their ends; or it has gone on to a later cut.
    if (!hasCut && sent !== undefined && sent.lastCut >= alignment.checkpoint) continue
    if (!hasCut) return `it is through with barrier ${alignment.checkpoint}, which ${name} has not sent`
    const { version } = sent.alignment!
    const has = taken.get(producer) ?? 0
    if (has < version)
      return `it is through with barrier ${alignment.checkpoint}, which ${name} sent in version ${version}, and has taken ${has}`
  }
  return undefined
}
