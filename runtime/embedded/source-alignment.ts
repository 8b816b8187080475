import type { Topology } from '../stage/topology.ts'

/** How far each split of each source is in event time, in memory that threads share. */
export type SourceTimes = SharedArrayBuffer

/** Behind all: it has not begun. */
const BEFORE = -(2n ** 63n)
/** Nobody waits for it: it has come to its end, or has nothing to read now. */
const AWAY = 2n ** 63n - 1n

/** A split that is further ahead of the slowest than this many of its own batches waits, */
const BATCHES_AHEAD = 2
/** but not longer than this: the others may be slow because less comes to them. */
const WAIT_MS_MAX = 1000
/** Event time that passes so many times as fast as the clock is read from an archive. What is read as it comes would only come later if it waited. */
const TIMES_AS_FAST = 2

export function sourceTimes(topology: Topology): SourceTimes {
  const splits = topology.stages.reduce((sum, { stage }) => sum + splitsOf(topology, stage), 0)
  const times = new SharedArrayBuffer(splits * BigInt64Array.BYTES_PER_ELEMENT)
  new BigInt64Array(times).fill(BEFORE)
  return times
}

function splitsOf(topology: Topology, stage: { readonly index: number; readonly source?: unknown }): number {
  return stage.source === undefined ? 0 : topology.parallelism(stage.index)
}

function cellOf(watermark: number): bigint {
  if (Number.isSafeInteger(Math.floor(watermark))) return BigInt(Math.floor(watermark))
  return watermark > 0 ? AWAY : BEFORE
}

/** What one split knows of the others of its source. */
export interface Alignment {
  /** It has read on, to this watermark. */
  advanced(watermark: number, now: number): void
  /** It has nothing to read. */
  left(): void
  /** True: it should wait, so that the others catch up. */
  isAhead(now: number): boolean
}

/**
 * Splits of one source are read at about the same pace in event time, as with Flink's watermark alignment: what reads ahead of the slowest only fills windows, joins and
 * timers, which all wait for that one's watermark. How far ahead is too far goes by how much event time a batch is. What is read as it comes waits for nobody; the time that a split has
 * waited counts as time that its next batch took, so that one that piled up meanwhile does not look like an archive.
 */
export function alignmentOf(times: SourceTimes, topology: Topology, stageIndex: number, split: number): Alignment {
  const before = topology.stages.filter(({ stage }) => stage.index < stageIndex)
  const first = before.reduce((sum, { stage }) => sum + splitsOf(topology, stage), 0)
  const all = new BigInt64Array(times, first * BigInt64Array.BYTES_PER_ELEMENT, topology.parallelism(stageIndex))
  let own = Number.NEGATIVE_INFINITY
  /** Event time of its last batch; 0: it waits for nobody. */
  let span = 0
  let readAt = Number.NEGATIVE_INFINITY
  return {
    advanced(watermark, now) {
      if (!Number.isSafeInteger(Math.floor(watermark))) span = 0
      else if (watermark > own && Number.isFinite(own))
        span = watermark - own > TIMES_AS_FAST * (now - readAt) ? watermark - own : 0
      own = watermark
      readAt = now
      Atomics.store(all, split, cellOf(watermark))
    },
    left() {
      Atomics.store(all, split, AWAY)
    },
    isAhead(now) {
      if (span === 0 || now - readAt >= WAIT_MS_MAX) return false
      const bound = cellOf(own - BATCHES_AHEAD * span)
      for (let i = 0; i < all.length; i++) if (i !== split && Atomics.load(all, i) < bound) return true
      return false
    },
  }
}
