import type { HeadFields } from '../../protocol/item.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment, OpenRun } from './environment.ts'
import { isMergedElsewhere, type OwnedShard } from './follow-shards.ts'
import { isEnded, isSingle, readShardMap, type ShardMap, watermarkOf } from './shard-map.ts'
import { isSilent } from './silence.ts'
import type { Heads } from './something-new.ts'
import { openSourceShards, type SourceShards } from './source-shards.ts'
import { headsAt, isTakenOver } from './tend-shards.ts'

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
    const isKinesis = environment.settings.sources[source.name]!.kind === 'kinesis'
    const shards = isKinesis ? listedOnce(openSourceShards(environment, topology, at)) : undefined
    const headOf = headsAt(environment, topology, at)
    for (const { shard, head } of heads[at.stage.index]!) {
      const isKnown = isKnownIdle(topology, at, shard, heads)
      if (!isKnown && isSilent(head, idleAfter, since, now)) return true
      if (shards === undefined) continue
      const map = readShardMap(head.fields.source, topology.splitOf(source.name, shard), head.fields.watermark, now)
      if (!isKnown && isClosedUnseen(map, await shards.list())) return true
      if (isSingle(head.fields.source)) continue
      const listed = await shards.list()
      const isTaken = (of?: readonly string[]) => isTakenOver({ shard }, shards, listed, headOf, of)
      // What is merged elsewhere waits for who takes that.
      for (const id of closedIn(map)) if (!isMergedElsewhere(id, shard, listed) || (await isTaken([id]))) return true
      if (isBehind(map, head.fields, idleAfter, now)) return true
      if (!isKnown && isEnded(map) && (await isTaken())) return true
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
        ({ head: { fields }, shard: i }) =>
          !(fields.producers ?? topology.producersOf(consumer, i)).includes(producer) || fields.idle.includes(producer),
      ),
    )
}

/** Each subtask looks at the same list. */
function listedOnce(shards: SourceShards): SourceShards {
  let listed: ReturnType<SourceShards['list']> | undefined
  return {
    ...shards,
    list() {
      listed ??= shards.list()
      return listed
    },
  }
}

/** One of a subtask's shards takes no records any more, and it has not heard of that: a cut that had no time to look leaves it so, or the shard was split when nothing flowed. Others may wait for it. */
function isClosedUnseen(map: ShardMap, listed: readonly OwnedShard[]): boolean {
  return listed.some(({ id, closed }) => {
    const state = map.get(id)
    return closed && state !== undefined && state !== 'ended' && !state.closed
  })
}

/** Those that are not known to be read to their ends, or not taken over. */
function closedIn(map: ShardMap): string[] {
  return [...map].flatMap(([id, state]) => (state !== 'ended' && state.closed ? [id] : []))
}

/** Of a subtask with several shards one is silent, and still holds the others back. */
function isBehind(map: ShardMap, { watermark }: HeadFields, idleAfter: number | undefined, now: number): boolean {
  return (watermarkOf(map, idleAfter, now) ?? watermark) > watermark
}
