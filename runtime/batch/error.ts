import { MillraceError } from '../errors.ts'

/** What one stage of a bounded run has left for the next is not there, or is damaged. */
export class SpillError extends MillraceError {
  override readonly name = 'SpillError'
}

/** A bounded run can't be done as it was asked for. The message says why, and what to do. */
export class BackfillError extends MillraceError {
  override readonly name = 'BackfillError'
}
