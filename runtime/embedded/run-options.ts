import type { DeadLetter } from '../api/source.ts'
import type { Sink } from '../connectors/sink.ts'
import type { SourceConnector, SourcePosition } from '../connectors/source.ts'
import type { Upgrade } from '../graph/upgrade.ts'
import type { Blobs, Ports } from '../ports.ts'
import type { StateBackendName } from '../state/backend.ts'
import type { Rescaled } from './rescaled.ts'

/** How the embedded engine runs a pipeline. */
export interface RunOptions {
  /** Overrides the pipeline's own default; operators that set theirs keep it. */
  readonly parallelism?: number
  /**
   * Directory for streams, logs, state and snapshots; a run on the same directory goes on where it stopped, at another parallelism from its last complete checkpoint. Undefined: in memory.
   */
  readonly state?: string
  /**
   * Starts a new run from a checkpoint, of another state directory or, to go back, of `state` itself. In another `state` there is no run yet then, or the one that began
   * there, which goes on; back in place, each call goes back again: leave it out to go on.
   */
  readonly from?: SnapshotOrigin
  /** State that nothing in the pipeline takes over any more may go: operators and states that are not there, or have other names. Default false: it is refused. */
  readonly allowDrop?: boolean
  /** Called once, before anything is changed, where the pipeline is not the one that the state was written by. */
  readonly onUpgrade?: (upgrade: Upgrade) => void
  /** Between the starts of two checkpoints, ms. Default 10,000. */
  readonly checkpointMs?: number
  /** By name of the source: replaces or supplies its connector. */
  readonly sources?: Readonly<Record<string, SourceConnector>>
  /** By name of the sink: replaces it. */
  readonly sinks?: Readonly<Record<string, Sink<any>>>
  /**
   * Where the input comes to its end, nothing is told of it: a last checkpoint is taken (`outcome: 'kept open'`), and windows and timers that are not due by the watermark stay as they
   * are. A later run goes on from there, on more of the same input, or on new input (`from.newInput`). Default false: at the end everything fires, and the run has finished.
   */
  readonly keepOpen?: boolean
  /** Source records of one batch. Default: as many as take about 250 ms, from 1,000 to 16,000. */
  readonly batchSize?: number
  /**
   * Subtasks work in worker threads, so that several cores are used; the state directory stays with this thread. Default: all in this one. Functions can't be sent to a thread:
   * each makes the pipeline itself (`module`), so what functions share through variables of a module is not shared between threads.
   */
  readonly threads?: ThreadOptions
  /** False: each operator in a stage of its own (for tests). Default true. */
  readonly chaining?: boolean
  /** About how many bytes of keyed state may stay in memory, over all subtasks. Default: a quarter of V8's heap limit. */
  readonly stateMemory?: number
  /** Where keyed state lies behind the log. A state directory keeps the one that it was made with. Default: the pipeline's own, else that of the state directory, else `table`. */
  readonly stateBackend?: StateBackendName
  /** Called before it goes on, where the run of the state directory had another parallelism: a new one starts from its last complete checkpoint. */
  readonly onRescale?: (rescale: Rescale) => void
  /** Called about four times a second while it runs. */
  readonly onProgress?: (progress: Progress) => void
  /** Called once its subtasks are at work: what can be done with it while it runs. */
  readonly onRunning?: (run: RunningJob) => void
  /** Aborted: takes a last checkpoint and stops (`outcome: 'stopped'`). */
  readonly signal?: AbortSignal
}

/** A job at work. */
export interface RunningJob {
  /**
   * Splits or merges the shards of its stages while records flow (protocol.md, F): each stage then has as many subtasks as if the pipeline had been started with `parallelism`; operators that
   * set their own keep it. Resolves when those that took over are at work. A later process that is given the same parallelism goes on with them.
   *
   * @throws MillraceError for what can't be rescaled while it runs: the state backend `segments`, runs in threads; and when the run ends meanwhile
   *
   * @example
   * const options = { onRunning: (job: { rescale(to: number): Promise<{ pauseMsMax: number }> }) => job.rescale(8) }
   */
  rescale(parallelism: number): Promise<Rescaled>
}

export interface Rescale {
  /** Undefined: none was complete, so that the run begins anew. */
  readonly checkpoint: number | undefined
  /** In words: `the parallelism of stage sum was 2 and is 8`. */
  readonly difference: string
}

export interface ThreadOptions {
  /** How many; more than there are subtasks have nothing to do. */
  readonly count: number
  /** URL of a module whose default export gives, from `data`, the same pipeline and bindings as this run is given: see `ThreadModule`. */
  readonly module: string | URL
  /** Anything that can be copied to another thread. */
  readonly data?: unknown
}

/** A checkpoint that a run can start from. */
export type SnapshotOrigin = (
  | {
      /** A state directory. */
      readonly directory: string
    }
  | {
      /**
       * Where a run elsewhere has its log and its blobs: a stack on AWS, say. It goes on unharmed: only its state is taken; sources read their new input from the beginning
       * (`newInput`), and sinks begin anew.
       */
      readonly store: SnapshotStore
    }
  | {
      /** A savepoint: it is of one checkpoint. Sinks begin anew; sources go on where they were, but those of a stack read their new input from the beginning (`newInput`). */
      readonly savepoint: SavepointPlace
    }
) & {
  /** Its number. Default: the newest complete one. */
  readonly checkpoint?: number
  /**
   * The sources read something else now, each split from its beginning, with the state of the checkpoint: where they stood in their old input means nothing there. Default
   * false: another input is refused.
   */
  readonly newInput?: boolean
}

export interface SnapshotStore {
  /** For people: "the stack Shop". */
  readonly name: string
  open(): Promise<Pick<Ports, 'log' | 'blobs'> & { close(): Promise<void> }>
}

/** Where a savepoint lies. */
export interface SavepointPlace {
  /** For people: a path. */
  readonly name: string
  open(): Promise<{ readonly blobs: Blobs; close(): Promise<void> }>
}

/** How far a run has come. */
export interface Progress {
  /** Source records taken so far, by this process. */
  readonly events: number
  /** Records that could not be decoded, or that the schema refused. */
  readonly deadLetters: number
  /** Records that came too late for an operator and had no side output to go to: dropped. */
  readonly late: number
  /** Records that reached sinks. */
  readonly results: number
  /** Lowest watermark of the stages, epoch ms; -Infinity before the first, Infinity at the end. */
  readonly watermark: number
  /** Bytes of frames that are not consumed yet. */
  readonly backlogBytes: number
  /** Checkpoints completed and failed by this process, and the number of the last completed one (0: none). */
  readonly checkpoints: { readonly completed: number; readonly failed: number; readonly last: number }
  /** Since this process began to run it. */
  readonly elapsedMs: number
}

/** Records of a run: taken by sources, made dead letters, dropped as late, and handed to sinks. */
export type RunTotals = Pick<Progress, 'events' | 'deadLetters' | 'late' | 'results'>

/** A split that an earlier process had read to its end: nothing of it was read now, and nothing ever will be. */
export interface EndedSplit {
  readonly source: string
  readonly split: string
  /** Where it was then: what its connector makes of it. */
  readonly position: SourcePosition | undefined
}

/** The counts are those of this process, but for `total`. */
export interface RunSummary extends Progress {
  /**
   * finished: the bounded input is through, everything fired, final checkpoint taken. kept open: the input is through, nothing fired for that, final checkpoint taken (`keepOpen`).
   * stopped: by the signal.
   */
  readonly outcome: 'finished' | 'kept open' | 'stopped'
  /** Its name. */
  readonly pipeline: string
  /** Its id: the same each time that it goes on. */
  readonly run: string
  /** True: this run went on from a state directory. */
  readonly resumed: boolean
  /** Since the run began, in all the processes that it has had; the same as the counts here unless `resumed`. */
  readonly total: RunTotals
  /** Splits that had ended before this process began. */
  readonly endedBefore: readonly EndedSplit[]
  /** No split was left to be read: all of them are in `endedBefore`. */
  readonly nothingToRead: boolean
  /** By stage, in the order of the plan. */
  readonly stages: readonly {
    readonly id: string
    readonly subtasks: number
    readonly commits: number
    readonly recordsIn: number
    readonly recordsOut: number
  }[]
  /** Why the first of the dead letters is one, and where its record lies. Absent: there are none. */
  readonly firstDeadLetter?: Omit<DeadLetter, 'raw'>
  /** By name: records written. */
  readonly sinks: Readonly<Record<string, number>>
}
