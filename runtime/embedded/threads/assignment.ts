import type { StateBackendName } from '../../state/backend.ts'
import type { SourceTimes } from '../source-alignment.ts'
import type { FlagMemory } from './flags.ts'

/** What a thread is started with. All of it is plain, or shared memory. */
export interface Assignment {
  /** URL of the module that makes what functions are part of, and what it is given. */
  readonly module: string
  readonly data: unknown
  readonly parallelism: number | undefined
  readonly chaining: boolean
  readonly run: string
  readonly shape: string
  readonly snapshots: boolean
  readonly stateBackend: StateBackendName
  readonly splits: readonly (readonly [source: string, splits: readonly string[]])[]
  readonly batchSize: number | undefined
  readonly keepOpen: boolean
  readonly startedAt: number
  /** Bytes of keyed state that one subtask may have in memory, and all of them together. */
  readonly stateBytesMax: number
  readonly stateBytes: number
  /** How many threads there are. */
  readonly threads: number
  readonly flags: FlagMemory
  readonly sourceTimes: SourceTimes
}

/** Which subtask a call is about. */
export type SubtaskId = readonly [stage: number, shard: number]

/** The subtasks of a stage go to different threads, and stages with one of them do too. */
export function threadOf([stage, shard]: SubtaskId, threads: number): number {
  return (stage + shard) % threads
}
