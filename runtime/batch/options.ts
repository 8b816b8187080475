import type { Sink } from '../connectors/sink.ts'
import type { RunTotals } from '../embedded/run-options.ts'
import type { Blobs } from '../ports.ts'
import type { Executor } from './executor.ts'
import type { InputFiles } from './input-files.ts'
import type { Job } from './job.ts'

/** How a pipeline is run over input that is there already. */
export interface BoundedOptions {
  /** By name of the source: files, and directories that are read with all that is below them. */
  readonly sources: Readonly<Record<string, readonly string[]>>
  /** Where those lie. Default: on this machine. */
  readonly input?: InputFiles
  /** By name of the sink: replaces it. */
  readonly sinks?: Readonly<Record<string, Sink<any>>>
  /** Of stages whose operators set none. Default: the pipeline's own, or the number of cores. */
  readonly parallelism?: number
  /** Only records of these event times, epoch ms: since <= time < until. */
  readonly since?: number
  readonly until?: number
  /**
   * Where to leave a savepoint that a streaming run can start from: its sources take the stream up at `until`, which is needed then, and pass over what comes before. Its parallelism is to be that of this run
   * (default then: the pipeline's own, or 1).
   */
  readonly thenLive?: Blobs & { readonly name: string }
  /**
   * Files whose folders say that they are of a time further than this from the range, ms, are not opened (partition.ts). An event lies in a folder of later if it came late. Default: a day.
   */
  readonly slackMs?: number
  /** What is finished is kept here, and a later run on the same directory goes on from there. Undefined: in a temporary directory. */
  readonly state?: string
  /** About how many bytes of keyed state a task may keep in memory. Default: a quarter of V8's heap limit. */
  readonly stateMemory?: number
  /** Plain files are cut where they are larger. Default 64 MiB. */
  readonly pieceBytes?: number
  /** Who runs the tasks. Default: this thread, one after the other. */
  readonly executor?: (job: Job, directory: string) => Executor
  /** Called about four times a second while it runs. */
  readonly onProgress?: (progress: BoundedProgress) => void
  /** Aborted: stops at once. With `state`, what is finished stays so. */
  readonly signal?: AbortSignal
}

/** One stage of a bounded run. */
export interface StageProgress {
  readonly id: string
  readonly tasks: number
  readonly done: number
  readonly running: number
  /** Of its input, from 0 to 1. */
  readonly fraction: number
  /** Records that it has taken. */
  readonly records: number
  /** Until the stage is through, at the speed that it has had in this process, ms; undefined: nobody knows yet. */
  readonly leftMs: number | undefined
}

export interface BoundedProgress {
  /** In the order in which they run. */
  readonly stages: readonly StageProgress[]
  readonly elapsedMs: number
}

/** Counts are of the whole run, in all the processes that it has had. */
export interface BoundedSummary extends RunTotals {
  readonly outcome: 'finished' | 'stopped'
  readonly pipeline: string
  readonly run: string
  /** True: some of it was done by an earlier process. */
  readonly resumed: boolean
  /** Files that were not opened, since their folders are of another time. */
  readonly skippedFiles: number
  /** Of this process. */
  readonly elapsedMs: number
  readonly stages: readonly {
    readonly id: string
    readonly subtasks: number
    readonly recordsIn: number
    readonly recordsOut: number
  }[]
  /** By name: records written. */
  readonly sinks: Readonly<Record<string, number>>
  readonly firstDeadLetter?: { readonly source: string; readonly position: string; readonly reason: string } | undefined
}
