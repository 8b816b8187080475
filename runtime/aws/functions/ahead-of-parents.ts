import type { Part } from '../../checkpoint/cut.ts'
import type { SourcePosition } from '../../connectors/source.ts'
import { headOf } from '../../protocol/log.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import type { ListedShard } from './owners.ts'
import { isSingle, readShardMap, takenOf } from './shard-map.ts'

interface SourceCut {
  readonly log: string
  readonly split: string
  /** At its cut. */
  readonly cut: SourcePosition | undefined
  readonly now: SourcePosition | undefined
}

/**
 * Logs of source subtasks whose cut has records of a shard, while another subtask has taken some of what that came of behind its own cut (protocol.md, F4). Who began from there would take later records of a key before
 * its earlier ones. The cuts of the next checkpoint are behind all of that.
 */
export async function aheadOfParents(environment: Environment, topology: Topology, parts: readonly Part[]): Promise<string[]> {
  const ahead = topology.stages.map(at => aheadIn(environment, topology, at, parts))
  return (await Promise.all(ahead)).flat()
}

async function aheadIn(
  { ports, seen, settings, sourceStreams }: Environment,
  topology: Topology,
  { stage, parallelism }: StageTopology,
  parts: readonly Part[],
): Promise<string[]> {
  const name = stage.source?.source?.name
  const setting = name === undefined ? undefined : settings.sources[name]
  // Of one subtask the position is of one moment.
  if (setting?.kind !== 'kinesis' || parallelism === 1) return []
  const mine = parts.filter(part => part.stage === stage.index)
  if (mine.every(({ item }) => isSingle(item.head.source))) return []
  const [listed, ...cuts] = await Promise.all([
    sourceStreams.listShards(setting.stream),
    ...mine.map(async ({ log, shard, item }): Promise<SourceCut> => {
      // Anew: what was taken in front of another's cut has to be in it.
      const { fields } = await headOf(ports.log, log, seen.heads)
      return { log, split: topology.splits[name!]![shard]!, cut: item.head.source, now: fields.source }
    }),
  ])
  const shards = new Map(listed.map(shard => [shard.id, shard]))
  return cuts.filter(cut => isAhead(cut, cuts, shards)).map(({ log }) => log)
}

function isAhead({ log, split, cut }: SourceCut, cuts: readonly SourceCut[], shards: ReadonlyMap<string, ListedShard>): boolean {
  const others = cuts.filter(other => other.log !== log)
  const begun = [...readShardMap(cut, split, 0, 0).keys()].filter(shard => takenOf(cut, split, shard) !== '')
  return [...ancestorsOf(begun, shards)].some(parent =>
    others.some(({ split, cut, now }) => takenOf(now, split, parent) !== takenOf(cut, split, parent)),
  )
}

/** As far as the stream lists what came of them: what it lists no longer was there for a day. */
function ancestorsOf(ids: readonly string[], shards: ReadonlyMap<string, ListedShard>, found = new Set<string>()): Set<string> {
  for (const parent of ids.flatMap(id => shards.get(id)?.parents ?? [])) {
    if (found.has(parent)) continue
    found.add(parent)
    ancestorsOf([parent], shards, found)
  }
  return found
}
