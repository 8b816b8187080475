import type { Change } from './changes.ts'

const number = (file: string, text: string, by: string): Change => ({ file, text, by })

/**
 * Limits so small that the little input of a simulated run goes beyond them: commits inside frames and between timers, several frames for a channel, state in objects, pages that
 * end, maps that are read entry by entry, memory that is full.
 */
export const SMALL: readonly Change[] = [
  number('runtime/stage/attempt.ts', 'recordsMax: 10_000', 'recordsMax: 3'),
  number('runtime/stage/attempt.ts', 'timersMax: 5_000', 'timersMax: 2'),
  number('runtime/stage/attempt.ts', 'INLINE_BYTES = 2048', 'INLINE_BYTES = 150'),
  number('runtime/stage/output.ts', 'FRAME_BYTES = 256 * 1024', 'FRAME_BYTES = 100'),
  number('runtime/protocol/log.ts', 'PAGE = 200', 'PAGE = 8'),
  number('runtime/checkpoint/materialise.ts', 'PAGE = 200', 'PAGE = 8'),
  number('runtime/checkpoint/fold.ts', 'FOLD_ITEMS = 20_000', 'FOLD_ITEMS = 5'),
  number('runtime/checkpoint/retention.ts', 'PAGE = 200', 'PAGE = 8'),
  number('runtime/checkpoint/decision.ts', 'KEPT = 200', 'KEPT = 6'),
  number('runtime/checkpoint/restore.ts', 'UPSERT_ITEMS = 1000', 'UPSERT_ITEMS = 3'),
  number('runtime/state/base.ts', 'SMALL_MAP = 32', 'SMALL_MAP = 2'),
  number('runtime/state/base.ts', 'PAGE = 1000', 'PAGE = 3'),
  number('runtime/snapshot/runs.ts', 'SEGMENT_BYTES = 2 * 1024 * 1024', 'SEGMENT_BYTES = 300'),
  number('runtime/snapshot/runs.ts', 'MERGE_RUNS = 8', 'MERGE_RUNS = 2'),
  number('runtime/aws/functions/materialise.ts', 'checkpointsMax: 59', 'checkpointsMax: 2'),
  number('runtime/aws/functions/materialise.ts', 'FOLDED_AT_ONCE = 500_000', 'FOLDED_AT_ONCE = 5'),
  number('runtime/aws/functions/memory.ts', 'DEFAULT_MB = 512', 'DEFAULT_MB = 0.005'),
  number('runtime/aws/functions/memory.ts', 'MARKER_AGE_MS = 30_000', 'MARKER_AGE_MS = 1_000'),
]

/** Every other seed runs with small limits. */
export const isSmall = (seed: number): boolean => seed % 2 === 1
