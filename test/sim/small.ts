import type { Change } from './changes.ts'

const number = (file: string, text: string, by: string): Change => ({ file, text, by })

/**
 * Limits so small that the little input of a simulated run goes beyond them: commits inside frames and between timers, several frames for a channel, state in objects, pages that
 * end, maps that are read entry by entry, memory that is full.
 */
const SMALL: readonly Change[] = [
  number('runtime/stage/attempt.ts', 'recordsMax: 10_000', 'recordsMax: 2'),
  number('runtime/stage/attempt.ts', 'timersMax: 5_000', 'timersMax: 2'),
  number('runtime/stage/attempt.ts', 'INLINE_BYTES = 2048', 'INLINE_BYTES = 60'),
  number('runtime/protocol/log.ts', 'PAGE = 200', 'PAGE = 8'),
  number('runtime/checkpoint/materialise.ts', 'PAGE = 200', 'PAGE = 8'),
  number('runtime/checkpoint/fold.ts', 'FOLD_ITEMS = 20_000', 'FOLD_ITEMS = 5'),
  number('runtime/checkpoint/retention.ts', 'PAGE = 200', 'PAGE = 8'),
  number('runtime/checkpoint/decision.ts', 'KEPT = 200', 'KEPT = 6'),
  number('runtime/checkpoint/table-writer.ts', 'UPSERT_ITEMS = 1000', 'UPSERT_ITEMS = 3'),
  number('runtime/state/base.ts', 'SMALL_MAP = 32', 'SMALL_MAP = 2'),
  number('runtime/state/base.ts', 'PAGE = 1000', 'PAGE = 3'),
  number('runtime/snapshot/runs.ts', 'SEGMENT_BYTES = 2 * 1024 * 1024', 'SEGMENT_BYTES = 300'),
  number('runtime/snapshot/segment.ts', 'BLOCK_BYTES = 32 * 1024', 'BLOCK_BYTES = 100'),
  number('runtime/snapshot/runs.ts', 'MERGE_RUNS = 8', 'MERGE_RUNS = 2'),
  number('runtime/snapshot/runs.ts', 'SMALLEST_TIER_BYTES = 128 * 1024', 'SMALLEST_TIER_BYTES = 200'),
  number('runtime/stage/live.ts', 'CHUNKS_READ_MAX = 64', 'CHUNKS_READ_MAX = 0'),
  number('runtime/stage/live.ts', 'READS_AT_ONCE = 16', 'READS_AT_ONCE = 2'),
  number('runtime/aws/functions/materialise.ts', 'FOLDED_AT_ONCE = 250_000', 'FOLDED_AT_ONCE = 5'),
  number('runtime/aws/functions/memory.ts', 'DEFAULT_MB = 512', 'DEFAULT_MB = 0.005'),
  number('runtime/aws/functions/memory.ts', 'MARKER_AGE_MS = 30_000', 'MARKER_AGE_MS = 1_000'),
]

const framing = (by: string): Change => number('runtime/stage/output.ts', 'FRAME_BYTES = 256 * 1024', by)
const folding = (by: string): Change => number('runtime/aws/functions/materialise.ts', 'checkpointsMax: 59, slotsMax: 4_000', by)

/**
 * A seed is of one of these kinds: every other one has small limits. Checkpoints keep what was logged for as long as a run takes, fold it now and then, or each time; and so that
 * subtasks do not all do it at once. With frames of one record nearly each version has several for a channel, one of which may be lost.
 */
const KINDS: readonly (readonly Change[])[] = [
  [],
  [
    ...SMALL,
    framing('FRAME_BYTES = 100'),
    folding('checkpointsMax: 59, slotsMax: 4'),
    // Else all waits too long for so small a memory.
    number('runtime/aws/functions/materialise.ts', 'WAITING_SHARE = 0.09', 'WAITING_SHARE = 20'),
  ],
  [folding('checkpointsMax: 0, slotsMax: 4_000')],
  [
    ...SMALL,
    framing('FRAME_BYTES = 1'),
    folding('checkpointsMax: 2, slotsMax: 4_000'),
    number('runtime/snapshot/runs.ts', 'OVERLAID_BYTES_MIN = 128 * 1024', 'OVERLAID_BYTES_MIN = 400'),
  ],
]

export const kinds = KINDS.length
export const kindOf = (seed: number): number => seed % kinds
export const changesOf = (seed: number): readonly Change[] => KINDS[kindOf(seed)]!
