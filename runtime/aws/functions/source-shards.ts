import { MillraceError } from '../../errors.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import { followShards, isMergedElsewhere, type OwnedShard } from './follow-shards.ts'
import { inTime } from './in-time.ts'
import { openOwners } from './owners.ts'
import type { KinesisSetting } from './settings.ts'
import type { ShardMap } from './shard-map.ts'

/** The shards of a source's stream, which may be split and merged while the run is on. */
export interface SourceShards {
  /** By subtask: the shards that the run began with. */
  readonly splits: readonly string[]
  /** After which a silent shard holds the others back no longer, ms; undefined: never. */
  readonly idleAfter: number | undefined
  /** Epoch ms. */
  now(): number
  /** The subtask that takes a shard's records, for good. @throws UnknownShardError */
  ownerOf(shard: string): Promise<number>
  /** All that the stream lists, oldest first. */
  list(): Promise<readonly OwnedShard[]>
  /** Those of a subtask's closed shards that have nothing behind what `map` has of them. Whatever can't be found out by `until`, epoch ms, is not among them. */
  endsOf(map: ShardMap, subtask: number, listed: readonly OwnedShard[], until: number): Promise<ReadonlySet<string>>
  /** What has become of a subtask's shards since `map` was committed. `ends`: of this map, or an earlier one. */
  follow(map: ShardMap, subtask: number, listed: readonly OwnedShard[], ends: ReadonlySet<string>): Promise<ShardMap>
  /** The same, for a batch of `delivered`, and only if there is anything to find out. It may take a second. @throws UnknownShardError */
  followFor(delivered: string, map: ShardMap, subtask: number): Promise<ShardMap>
}

/** A batch came of a shard that its stream does not list: not yet, or not any more. It comes again. */
export class UnknownShardError extends MillraceError {
  override readonly name = 'UnknownShardError'
  override readonly retryable = true
}

const ASK_MS = 5_000
/** Of a batch's time. */
const ASK_MS_MAX = 1_000

export function openSourceShards(environment: Environment, topology: Topology, at: StageTopology): SourceShards {
  const { ports, sourceStreams, settings } = environment
  const { name, watermark } = at.stage.source!.source!
  const { stream } = settings.sources[name] as KinesisSetting
  const splits = topology.splits[name]!
  const owners = openOwners(ports.log, topology.run, name, splits)
  const askedAt = new Map<string, number>()
  const { clock } = ports

  /** An end that is not found yet makes windows wait; that must not make records and checkpoints wait too. So whatever is in the way is for the log, and the end is asked for again. */
  async function isReadToEnd(shard: string, after: string, until: number): Promise<boolean> {
    const what = `whether ${shard} of stream ${stream} is read to its end`
    try {
      return await inTime(clock, until, what, sourceStreams.isReadToEnd(stream, shard, after, until))
    } catch (error) {
      const { name, message } = error as Error
      environment.log('warn', `Not known yet is ${what}: until then windows may wait. ${message}`, {
        error: name,
        shard,
      })
      return false
    }
  }

  async function list(): Promise<readonly OwnedShard[]> {
    const listed = await sourceStreams.listShards(stream)
    await owners.decide(listed)
    return listed.map(shard => ({ ...shard, owner: owners.of(shard.id)! }))
  }

  function unknown(shard: string): UnknownShardError {
    return new UnknownShardError(
      `a batch came of ${shard}, which stream ${stream} of source '${name}' does not list: it comes again, until Lambda gives it up`,
    )
  }

  /** Whether one that is known to be closed has come to its end by now: then its children are due. Asked now and then: whoever reads that shard shares its rate with this. */
  async function hasEnded(map: ShardMap, delivered: string): Promise<boolean> {
    const now = clock.now()
    for (const [shard, state] of map) {
      if (shard === delivered || state === 'ended' || !state.closed || now - (askedAt.get(shard) ?? 0) < ASK_MS) continue
      askedAt.set(shard, now)
      if (await isReadToEnd(shard, state.sequenceNumber, now + ASK_MS_MAX)) return true
    }
    return false
  }

  return {
    splits,
    idleAfter: watermark.idleAfter,
    now: () => clock.now(),
    async ownerOf(shard) {
      if (owners.of(shard) === undefined) await owners.follow()
      if (owners.of(shard) === undefined) await list()
      const owner = owners.of(shard)
      if (owner === undefined) throw unknown(shard)
      return owner
    },
    list,
    async endsOf(map, subtask, listed, until) {
      const ends = new Set<string>()
      await followShards(map, {
        subtask,
        listed,
        now: clock.now(),
        async isReadToEnd(shard, after) {
          const isEnd = await isReadToEnd(shard, after, until)
          if (isEnd) ends.add(shard)
          return isEnd
        },
      })
      return ends
    },
    follow(map, subtask, listed, ends) {
      return followShards(map, { subtask, listed, now: clock.now(), isReadToEnd: async shard => ends.has(shard) })
    },
    async followFor(delivered, map, subtask) {
      if (map.has(delivered) && !(await hasEnded(map, delivered))) return map
      const listed = await list()
      const until = clock.now() + ASK_MS_MAX
      const next = await followShards(map, {
        subtask,
        listed,
        delivered,
        now: clock.now(),
        isReadToEnd: async (shard, after) => !isMergedElsewhere(shard, subtask, listed) && isReadToEnd(shard, after, until),
      })
      if (!next.has(delivered)) throw unknown(delivered)
      return next
    },
  }
}
