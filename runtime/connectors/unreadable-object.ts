import { MillraceError } from '../errors.ts'

/** Nobody will ever read this object, or what is left of it: it has gone, or is no NDJSON. The message says why, without its name. */
export class UnreadableObjectError extends MillraceError {
  override readonly name = 'UnreadableObjectError'
}
