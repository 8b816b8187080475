import type { Blobs } from '../ports.ts'

/** Who writes, in which commit: enough to make any outside write idempotent. */
export interface CommitIdentity {
  /** Id of the run: the same after each restart on the same state, another in a fork. */
  readonly run: string
  /** Its name. */
  readonly pipeline: string
  /** The sink's uid, or the id that the plan shows. */
  readonly operatorId: string
  /** From 0. */
  readonly subtask: number
  /** How many subtasks write to the sink. */
  readonly parallelism: number
  /** Versions of one subtask only rise; a commit that is tried again has the same version and another attempt. */
  readonly version: number
  /** Of this try: no other has the same. */
  readonly attempt: string
  /** The first checkpoint that can hold it: the cut that this commit is, or the one behind the subtask's last cut. If that one fails, it becomes visible with a later one. */
  readonly checkpoint: number
}

/** What the run lends to a sink. */
export interface SinkStaging {
  /** Objects of this sink in this run alone. They are kept with the run's state, and go with the run: a place for what waits for its checkpoint. */
  readonly staging: Blobs
}

/** Who writes: what of the identity of its commits is known when a writer is opened. */
export type SinkContext = Pick<CommitIdentity, 'run' | 'pipeline' | 'operatorId' | 'subtask' | 'parallelism'> & SinkStaging

/** Whose output is made visible. */
export type SinkCommitContext = Pick<CommitIdentity, 'pipeline' | 'operatorId'> &
  SinkStaging & {
    /** Subtasks have taken over from others with a lower number, of the same keys: where order counts, what those staged goes first. */
    readonly inOrder?: boolean
  }

/** A run that starts from a checkpoint of another one. */
export interface SinkRestoreContext extends SinkCommitContext {
  /** How many subtasks write to the sink now. There may have been more, or fewer. */
  readonly parallelism: number
  /** The old run stays, and may go on: nothing of its output may be taken back. */
  readonly fork: boolean
}

/** Small, plain, kept in the commit item: how far a transactional sink has staged. */
export type SinkState = { readonly [field: string]: string | number }

/** One subtask's writer. */
export interface SinkWriter<T> {
  /** Takes one record; buffers it. (A property, so that a sink of another type is refused: methods are compared loosely.) */
  readonly write: (value: T, record: { readonly timestamp: number; readonly key: unknown }) => void
  /**
   * Called just before each commit that has written something, or that is a checkpoint's cut: when it resolves, all that was
   * written is durable outside (idempotently, by `commit`), or staged. What it returns is kept with the commit; undefined: the state
   * stays what it was. The commit itself may still fail: then this writer is closed, and one that is opened with the state of the last commit tries again, with the same version.
   */
  flush(commit: CommitIdentity, cut: { readonly checkpoint: number } | undefined): Promise<SinkState | undefined>
  /** Called at the end, and after a failure: what was not flushed is not to be sent. */
  close(): Promise<void>
}

/** A sink, as the pipeline declares it. Opened once per subtask, with the state of its last commit. */
export interface Sink<T> {
  /** For plans and errors: `file`, `redis` … */
  readonly kind: string
  /** Where it writes, if that is a file: no source may read it. */
  readonly file?: string
  /** A subtask's writer. `state` is what its last committed flush returned; undefined: none has yet. */
  open(context: SinkContext, state: SinkState | undefined): Promise<SinkWriter<T>>
  /**
   * Transactional sinks: makes visible what all subtasks staged up to checkpoint `checkpoint` (protocol.md, D7). `parts[i]` is subtask i's state
   * at its cut, or at its end, if others took over: these come behind it. Called after the checkpoint is complete, maybe more than once, in any process, and not again for a checkpoint whose commit was interrupted if a later
   * one came first: idempotent, and complete in itself.
   */
  commit?(run: string, checkpoint: number, parts: readonly (SinkState | undefined)[], context: SinkCommitContext): Promise<void>
  /**
   * A new run starts from checkpoint `checkpoint` of `run`: `parts[i]` is subtask i's state at its cut. Makes visible what was staged up to it, takes back what
   * came later where that can be done, and gives the states to go on with: one for each of the new run's subtasks, of which there may be another number. Absent: `commit` is called, and the states stay as they are; with another
   * number of subtasks they begin with none. `context` is that of the old run.
   */
  restore?(
    run: string,
    checkpoint: number,
    parts: readonly (SinkState | undefined)[],
    context: SinkRestoreContext,
  ): Promise<readonly (SinkState | undefined)[]>
  /**
   * The shard of a subtask was split or merged: the state that a writer begins with which takes over from others. `states` are theirs; what they staged is committed as theirs, and
   * goes before what this one writes. Absent: it begins with none.
   */
  succeed?(states: readonly SinkState[]): SinkState
  /** For plans and errors: what it writes to, without passwords. */
  describe(): string
}
