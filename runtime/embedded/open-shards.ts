import type { Streams } from '../ports.ts'
import { ShardClosedError } from '../protocol/errors.ts'

/** Streams whose shards can be closed: what comes behind that is refused, and whoever sends it plans anew (protocol.md, F1). */
export interface ClosableStreams extends Streams {
  close(stream: string, shard: number): void
  /** Nothing comes behind `position` any more: the shard is closed, and this is its end. */
  ended(stream: string, shard: number, position: string): Promise<boolean>
}

/** Which shards are closed is known to this process alone: it has the directory, and reads it from the run's log when it starts. */
export function closable(streams: Streams): ClosableStreams {
  const closed = new Set<string>()
  const name = (stream: string, shard: number) => `${stream}/${shard}`
  return {
    // In one piece: what is not refused here is in the shard before anybody can close it.
    async put(stream, shard, data) {
      if (closed.has(name(stream, shard))) throw new ShardClosedError(`shard ${shard} of ${stream} was split or merged`)
      return streams.put(stream, shard, data)
    },
    poll: (stream, shard, after, limit, maxBytes) => streams.poll(stream, shard, after, limit, maxBytes),
    trim: (stream, shard, upTo) => streams.trim(stream, shard, upTo),
    close(stream, shard) {
      closed.add(name(stream, shard))
    },
    async ended(stream, shard, position) {
      if (!closed.has(name(stream, shard))) return false
      return (await streams.poll(stream, shard, position === '' ? undefined : position, 1)).length === 0
    },
  }
}
