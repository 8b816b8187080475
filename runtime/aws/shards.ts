import { type KinesisClient, ListShardsCommand, type Shard } from '@aws-sdk/client-kinesis'
import type { Call } from './call.ts'
import { ResourceMissingError } from './errors.ts'
import { formatShard } from './position.ts'

/** One shard, as the service last described it. */
export interface KnownShard {
  readonly id: string
  /** The lowest hash key that it takes: records are addressed by it. */
  readonly hashKey: string
  /** The highest. */
  readonly lastHashKey: string
  /** It takes no more records: it was split or merged. */
  readonly closed: boolean
  /** The shards that it came of: the one that was split, or the two that were merged. They may be past their retention, and not listed any more. */
  readonly parents: readonly string[]
}

export interface Shards {
  /** Shard `index` of the stream as it was made. */
  of(stream: string, index: number): Promise<KnownShard>
  /** Has the stream's shards listed anew at the next question. */
  forget(stream: string): void
}

/** All shards that a stream lists, oldest first: also those that are closed, until their last record is past its retention. */
export async function listShards(client: KinesisClient, call: Call, stream: string): Promise<KnownShard[]> {
  return [...(await list(client, call, stream)).values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Shards of streams, listed once, and again when one is asked for that is not there, or was closed since. */
export function listedShards(client: KinesisClient, call: Call): Shards {
  const streams = new Map<string, Promise<Map<string, KnownShard>>>()

  function listed(stream: string): Promise<Map<string, KnownShard>> {
    let shards = streams.get(stream)
    if (shards === undefined) {
      shards = list(client, call, stream)
      streams.set(stream, shards)
      // A failure is for those who wait now; the next one asks again.
      shards.catch(() => streams.delete(stream))
    }
    return shards
  }

  return {
    async of(stream, index) {
      const known = (await listed(stream)).get(formatShard(index))
      if (known !== undefined) return known
      streams.delete(stream)
      const shards = await listed(stream)
      const shard = shards.get(formatShard(index))
      if (shard !== undefined) return shard
      throw new ResourceMissingError(
        `stream ${stream}`,
        `stream ${stream} has no ${formatShard(index)} (it has ${[...shards.keys()].join(', ')}): deploy it with as many shards as its stage has subtasks`,
      )
    },
    forget: stream => void streams.delete(stream),
  }
}

async function list(client: KinesisClient, call: Call, stream: string): Promise<Map<string, KnownShard>> {
  const shards = new Map<string, KnownShard>()
  for (let NextToken: string | undefined; ; ) {
    // A token stands for the stream's name too, and is refused beside it.
    const command = new ListShardsCommand(NextToken === undefined ? { StreamName: stream } : { NextToken })
    const options = { operation: 'kinesis.ListShards', resource: `stream ${stream}` }
    const page = await call(options, ({ signal }) => client.send(command, { abortSignal: signal }))
    for (const shard of page.Shards ?? []) shards.set(shard.ShardId!, known(shard))
    NextToken = page.NextToken
    if (NextToken === undefined) return shards
  }
}

function known({ ShardId, HashKeyRange, SequenceNumberRange, ParentShardId, AdjacentParentShardId }: Shard): KnownShard {
  return {
    id: ShardId!,
    hashKey: HashKeyRange!.StartingHashKey!,
    lastHashKey: HashKeyRange!.EndingHashKey!,
    closed: SequenceNumberRange?.EndingSequenceNumber !== undefined,
    parents: [ParentShardId ?? [], AdjacentParentShardId ?? []].flat(),
  }
}
