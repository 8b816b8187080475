import type { Sink } from '../connectors/sink.ts'
import type { TestFault } from './faults.ts'
import type { Snapshot } from './snapshot.ts'
import type { Watermarks } from './taps.ts'

/** How a test pipeline is opened. */
export interface TestOptions {
  /** Subtasks of each stage that does not say its own. Default: the pipeline's own, else 1. */
  readonly parallelism?: number
  /** Where the clock begins, epoch ms. Default: 2025-01-01T00:00:00Z. */
  readonly now?: number
  /** Splits of each source: `send` says which one. Default 1. */
  readonly splits?: number
  /** Records of one commit, at most. Default 100. */
  readonly batchSize?: number
  /** `'by strategy'` (default): records move the watermark as each source's strategy says. `'by hand'`: only `watermark` and `end` do. */
  readonly watermarks?: Watermarks
  /** Begins with a snapshot of the same pipeline, with the same parallelism and splits; what was sent before it counts as read. */
  readonly from?: Snapshot
  /** What goes wrong from the beginning; `faults` changes it later. */
  readonly faults?: readonly TestFault[]
  /** By name: sinks that are to be written to really. All others only keep what they are given, for `results`. */
  readonly sinks?: Readonly<Record<string, Sink<any>>>
  /** What is left to chance (throttled calls, pauses between two tries) is the same for the same seed. Default 0. */
  readonly seed?: number
}
