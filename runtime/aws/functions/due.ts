import type { HeadFields } from '../../protocol/item.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment, OpenRun } from './environment.ts'
import { isEnded, isSingle, readShardMap, watermarkOf } from './shard-map.ts'
import { isSilent } from './silence.ts'
import type { Heads } from './something-new.ts'
import { openSourceShards } from './source-shards.ts'
import { isTakenOver } from './tend-shards.ts'

/**
 * Whether a checkpoint has something to tell though nothing flowed: its barrier is the only heartbeat that subtasks have. Each of these ends by itself with the checkpoint that tells it: a timer of processing
 * time that is due, a source subtask that is silent and that somebody still waits for, and what has become of shards.
 */
export async function isDue(environment: Environment, run: OpenRun, heads: Heads, since: number): Promise<boolean> {
  const now = environment.ports.clock.now()
  if (heads.flat().some(({ head }) => (head.fields.timerAt ?? Number.POSITIVE_INFINITY) <= now)) return true
  const { topology } = run
  for (const at of topology.stages) {
    const source = at.stage.source?.source
    if (source === undefined) continue
    const { idleAfter } = source.watermark
    for (const [shard, { head }] of heads[at.stage.index]!.entries()) {
      const isKnown = isKnownIdle(topology, at, shard, heads)
      if (!isKnown && isSilent(head, idleAfter, since, now)) return true
      if (environment.settings.sources[source.name]!.kind !== 'kinesis' || isSingle(head.fields.source)) continue
      if (isShardDue(head.fields, idleAfter, now)) return true
      if (!isKnown && isEnded(mapOf(head.fields, now)) && (await areOthersThere(environment, topology, at, shard))) return true
    }
  }
  return false
}

/** Whether all who count on a source subtask leave it out of their watermarks. */
function isKnownIdle(topology: Topology, { stage }: StageTopology, shard: number, heads: Heads): boolean {
  const producer = topology.producer(stage.index, shard)
  return topology
    .consumersOf(stage.index)
    .every(consumer =>
      heads[consumer]!.every(
        ({ head }, i) => !topology.producersOf(consumer, i).includes(producer) || head.fields.idle.includes(producer),
      ),
    )
}

/** Of a subtask with several shards: one is closed and not known to be read to its end, or silent and still holds the others back. */
function isShardDue(fields: HeadFields, idleAfter: number | undefined, now: number): boolean {
  const map = mapOf(fields, now)
  if ([...map.values()].some(state => state !== 'ended' && state.closed)) return true
  return (watermarkOf(map, idleAfter, now) ?? fields.watermark) > fields.watermark
}

function mapOf({ source, watermark }: HeadFields, now: number) {
  return readShardMap(source, '', watermark, now)
}

async function areOthersThere(environment: Environment, topology: Topology, at: StageTopology, shard: number): Promise<boolean> {
  const shards = openSourceShards(environment, topology, at)
  return isTakenOver(environment, topology, { at, shard }, shards, await shards.list())
}
