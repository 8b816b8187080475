import { isTaken, takenOf } from '../aws/functions/shard-map.ts'
import { formatShard } from '../aws/position.ts'
import type { Manifest, SubtaskSnapshot } from '../checkpoint/manifest.ts'
import type { StreamRecord } from '../ports.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import type { Services } from './ports.ts'
import { sourceStream } from './world.ts'

/** What is wrong with the positions of sources in a checkpoint, if anything: whoever has taken something of a shard comes behind all that its parents had, by the cuts of all subtasks (protocol.md, F4). */
export function sourceCutFault(manifest: Manifest, topology: Topology, services: Services): string | undefined {
  for (const at of topology.stages) {
    const fault = at.stage.source === undefined ? undefined : stageFault(at, manifest, topology, services)
    if (fault !== undefined) return fault
  }
  return undefined
}

function stageFault(
  { stage }: StageTopology,
  { subtasks }: Manifest,
  topology: Topology,
  { sources, kinesis }: Services,
): string | undefined {
  const name = stage.source!.source!.name
  const stream = sourceStream(name)
  const { shards } = sources.get(stream)!
  const parts = subtasks.filter(part => part.stage === stage.index)
  const splitOf = (part: SubtaskSnapshot) => topology.splits[name]![part.shard]!
  const has = (part: SubtaskSnapshot, shard: number, record: StreamRecord | undefined) =>
    record !== undefined && isTaken(record.seq, takenOf(part.head.source, splitOf(part), formatShard(shard)))
  const isThrough = (shard: number) => {
    const last = kinesis.records(stream, shard).at(-1)
    return last === undefined || parts.some(part => has(part, shard, last))
  }
  const ancestors = (shard: number): number[] => shards[shard]!.parents.flatMap(parent => [parent, ...ancestors(parent)])
  for (const part of parts)
    for (const { index: shard } of shards) {
      // One that had none may have ended before those that it came of.
      if (!has(part, shard, kinesis.records(stream, shard)[0])) continue
      const left = ancestors(shard).find(parent => !isThrough(parent))
      if (left !== undefined)
        return `${part.log} has taken some of shard ${shard}, and no part all of shard ${left}, of which that came`
    }
  return undefined
}
