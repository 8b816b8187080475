import type { Clock, Streams } from '../ports.ts'

/** Streams that know how much of them has not been consumed yet, for backpressure and for the progress line. */
export interface MeteredStreams extends Streams {
  /** The consumer of a shard is through with these bytes. */
  consumed(bytes: number): void
  readonly backlogBytes: number
  /** More waits than consumers work off in a moment, as fast as they have lately been: a barrier behind it would take long to arrive. */
  readonly congested: boolean
}

/** What may wait: this long's work, within these bounds. */
const BACKLOG_MS = 2_000
const BACKLOG_BYTES_MIN = 32 * 1024
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024
/** The rate of consumption is measured over at least so long. */
const RATE_MS = 500

export function meter(streams: Streams, clock: Clock): MeteredStreams {
  let backlog = 0
  let allowed = BACKLOG_BYTES_MIN
  let measured = 0
  let since = clock.now()
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
      measured += bytes
      const elapsed = clock.now() - since
      if (elapsed < RATE_MS) return
      allowed = Math.min(BACKLOG_BYTES_MAX, Math.max(BACKLOG_BYTES_MIN, (measured / elapsed) * BACKLOG_MS))
      measured = 0
      since += elapsed
    },
    get backlogBytes() {
      return backlog
    },
    get congested() {
      return backlog > allowed
    },
  }
}
