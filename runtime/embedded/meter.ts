import type { Clock } from '../ports.ts'
import type { ClosableStreams } from './open-shards.ts'

/** Streams that know how much of them has not been consumed yet, for backpressure and for the progress line. */
export interface MeteredStreams extends ClosableStreams {
  /** The consumer of a shard is through with these bytes. */
  consumed(stream: string, bytes: number): void
  readonly backlogBytes: number
  /** More waits in a stream than its consumers, as fast as they have lately been, work off in a moment: a barrier behind it would take long. */
  readonly congested: boolean
}

/** What may wait: this long's work, within these bounds. */
const BACKLOG_MS = 2_000
const BACKLOG_BYTES_MIN = 32 * 1024
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024
/** The rate of consumption is measured over at least so long. */
const RATE_MS = 500

interface Meter {
  backlog: number
  allowed: number
  /** Bytes consumed since `since`. */
  measured: number
  since: number
}

export function meter(streams: ClosableStreams, clock: Clock): MeteredStreams {
  const meters = new Map<string, Meter>()
  const of = (stream: string): Meter => {
    let m = meters.get(stream)
    if (m === undefined) {
      m = { backlog: 0, allowed: BACKLOG_BYTES_MIN, measured: 0, since: clock.now() }
      meters.set(stream, m)
    }
    return m
  }
  return {
    async put(stream, shard, data) {
      const seq = await streams.put(stream, shard, data)
      of(stream).backlog += data.length
      return seq
    },
    poll: (stream, shard, after, limit, maxBytes) => streams.poll(stream, shard, after, limit, maxBytes),
    trim: (stream, shard, upTo) => streams.trim(stream, shard, upTo),
    close: (stream, shard) => streams.close(stream, shard),
    ended: (stream, shard, position) => streams.ended(stream, shard, position),
    consumed(stream, bytes) {
      const m = of(stream)
      // Frames that an earlier process left were never counted in.
      m.backlog = Math.max(0, m.backlog - bytes)
      m.measured += bytes
      const elapsed = clock.now() - m.since
      if (elapsed < RATE_MS) return
      m.allowed = Math.min(BACKLOG_BYTES_MAX, Math.max(BACKLOG_BYTES_MIN, (m.measured / elapsed) * BACKLOG_MS))
      m.measured = 0
      m.since += elapsed
    },
    get backlogBytes() {
      let bytes = 0
      for (const m of meters.values()) bytes += m.backlog
      return bytes
    },
    get congested() {
      for (const m of meters.values()) if (m.backlog > m.allowed) return true
      return false
    },
  }
}
