import { MillraceError } from '../errors.ts'

/** A frame that its successor names never arrived (protocol.md, B7): the stream lost it. The subtask stops. */
export class GapError extends MillraceError {
  override readonly name = 'GapError'
}

/** The log of a subtask is not one chain of consecutive slots: something deleted or overwrote history. The subtask stops. */
export class BrokenLogError extends MillraceError {
  override readonly name = 'BrokenLogError'
}

/** The log of a run whose place another takes. What is asked of it will not pass: a warm environment looks for the new run then. */
export class FencedLogError extends MillraceError {
  override readonly name = 'FencedLogError'
}

/** Another attempt won this version; the batch is done again from the log. */
export class LostRaceError extends MillraceError {
  override readonly name = 'LostRaceError'
  override readonly retryable = true
}

/** A frame was packed for a shard that has been split or merged since (protocol.md, F1): the attempt is void, and is planned anew for those that are open. */
export class ShardClosedError extends MillraceError {
  override readonly name: string = 'ShardClosedError'
  override readonly retryable = true
}

/** The invocation's deadline is too near for another call (protocol.md, A8). */
export class DeadlineError extends MillraceError {
  override readonly name = 'DeadlineError'
  override readonly retryable = true
}
