import { MillraceError } from '../../errors.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import { followShards, type OwnedShard } from './follow-shards.ts'
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
  /** What has become of a subtask's shards since `map` was committed. */
  follow(map: ShardMap, subtask: number, listed: readonly OwnedShard[]): Promise<ShardMap>
  /** The same, for a batch of `delivered`, and only if there is anything to find out. @throws UnknownShardError */
  followFor(delivered: string, map: ShardMap, subtask: number): Promise<ShardMap>
}

/** A batch came of a shard that its stream does not list: not yet, or not any more. It comes again. */
export class UnknownShardError extends MillraceError {
  override readonly name = 'UnknownShardError'
  override readonly retryable = true
}

const ASK_MS = 5_000

export function openSourceShards(environment: Environment, topology: Topology, at: StageTopology): SourceShards {
  const { ports, sourceStreams, settings } = environment
  const { name, watermark } = at.stage.source!.source!
  const { stream } = settings.sources[name] as KinesisSetting
  const splits = topology.splits[name]!
  const owners = openOwners(ports.log, topology.run, name, splits)
  const askedAt = new Map<string, number>()
  const isReadToEnd = (shard: string, after: string) => sourceStreams.isReadToEnd(stream, shard, after)

  async function list(): Promise<readonly OwnedShard[]> {
    const listed = await sourceStreams.listShards(stream)
    await owners.decide(listed)
    return listed.map(shard => ({ ...shard, owner: owners.of(shard.id)! }))
  }

  function unknown(shard: string): UnknownShardError {
    return new UnknownShardError(
      `a batch came of ${shard}, which stream ${stream} of source '${name}' does not list: it comes again. ` +
        'If that goes on, the shard has passed its retention, and Lambda hands over what it had to the destination for failures',
    )
  }

  function follow(map: ShardMap, subtask: number, listed: readonly OwnedShard[], delivered?: string): Promise<ShardMap> {
    return followShards(map, { subtask, listed, delivered, now: ports.clock.now(), isReadToEnd })
  }

  /** Whether one that is known to be closed has come to its end by now: then its children are due. Asked now and then: whoever reads that shard shares its rate with this. */
  async function hasEnded(map: ShardMap, delivered: string): Promise<boolean> {
    const now = ports.clock.now()
    for (const [shard, state] of map) {
      if (shard === delivered || state === 'ended' || !state.closed || now - (askedAt.get(shard) ?? 0) < ASK_MS) continue
      askedAt.set(shard, now)
      if (await isReadToEnd(shard, state.sequenceNumber)) return true
    }
    return false
  }

  return {
    splits,
    idleAfter: watermark.idleAfter,
    now: () => ports.clock.now(),
    async ownerOf(shard) {
      if (owners.of(shard) === undefined) await owners.follow()
      if (owners.of(shard) === undefined) await list()
      const owner = owners.of(shard)
      if (owner === undefined) throw unknown(shard)
      return owner
    },
    list,
    follow,
    async followFor(delivered, map, subtask) {
      if (map.has(delivered) && !(await hasEnded(map, delivered))) return map
      const next = await follow(map, subtask, await list(), delivered)
      if (!next.has(delivered)) throw unknown(delivered)
      return next
    },
  }
}
