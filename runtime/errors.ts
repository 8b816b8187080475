/** Base of all errors that Millrace raises on purpose. */
export class MillraceError extends Error {
  /** True: the same call may succeed later. False: somebody has to change something. */
  readonly retryable: boolean = false
}
