import { MillraceError } from '../errors.ts'
import { UserCodeError } from '../operators/user-code.ts'

/** What steps of a checkpoint say that come too late: it is decided, and others have gone on. */
const TOO_LATE = [
  /^Error: chunk .* is gone, though its commit is there$/,
  /^BrokenLogError: .* is missing though (it was never materialised|the cut lies behind it)/,
  /^SupersededFoldError/,
  /^SnapshotError: (there is no manifest|.* is gone)/,
  /did not ack$/,
  /has no part of checkpoint/,
  /is gone, though it was just materialised/,
  /was not materialised$/,
  /was decided so long ago that how is not kept any more$/,
]

/** What functions say whose run is replaced meanwhile, and what a restore refuses. */
const REPLACED = [
  /^FencedLogError/,
  /^SupersededError/,
  /^StateMismatchError: starting from .* was interrupted in/,
  /^RestoreError/,
  /another run has taken (its place|the place of run)/,
]

/**
 * What functions may end with: what the service is told to try again, and user code. Of the controller's steps, those that come too late have nothing to do any more. `hasRestart`: somebody starts the stack anew.
 */
export function isExpected(error: unknown, name: string, hasRestart = false): boolean {
  if (error instanceof UserCodeError || (error instanceof MillraceError && error.retryable)) return true
  const { name: kind, message } = error as Error
  if (hasRestart && REPLACED.some(pattern => pattern.test(`${kind}: ${message}`))) return true
  return /^(checkpoint|materialise)#/.test(name) && TOO_LATE.some(pattern => pattern.test(`${kind}: ${message}`))
}
