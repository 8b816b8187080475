import type { Streams } from '../ports.ts'

/** Streams that know how much of them has not been consumed yet, for backpressure and for the progress line. */
export interface MeteredStreams extends Streams {
  /** The consumer of a shard is through with these bytes. */
  consumed(bytes: number): void
  readonly backlogBytes: number
}

export function meter(streams: Streams): MeteredStreams {
  let backlog = 0
  return {
    async put(stream, shard, data) {
      const seq = await streams.put(stream, shard, data)
      backlog += data.length
      return seq
    },
    poll: (stream, shard, after, limit, maxBytes) => streams.poll(stream, shard, after, limit, maxBytes),
    trim: (stream, shard, upTo) => streams.trim(stream, shard, upTo),
    consumed(bytes) {
      // Frames that an earlier process left were never counted in.
      backlog = Math.max(0, backlog - bytes)
    },
    get backlogBytes() {
      return backlog
    },
  }
}
