import { MillraceError } from '../../errors.ts'

/** Bytes are copied with all of the buffer that they are a view of: so each gets one of its own first. */
export function sendable(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.byteLength === value.buffer.byteLength ? value : new Uint8Array(value)
  if (Array.isArray(value)) return value.map(sendable)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, sendable(field)]))
}

/** What another thread is told of an error. Its class stays behind, but not its name and fields. */
export interface SentError {
  readonly millrace: boolean
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly fields: Readonly<Record<string, unknown>>
  readonly cause: SentError | undefined
}

/** Of a chain of causes. */
const DEPTH_MAX = 5

export function sendError(thrown: unknown, depth = 0): SentError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const fields = Object.entries(error).filter(([, v]) => ['string', 'number', 'boolean'].includes(typeof v))
  return {
    millrace: error instanceof MillraceError,
    name: error.name,
    message: error.message,
    stack: error.stack,
    fields: Object.fromEntries(fields),
    cause: error.cause === undefined || depth === DEPTH_MAX ? undefined : sendError(error.cause, depth + 1),
  }
}

export function receiveError({ millrace, name, message, stack, fields, cause }: SentError): Error {
  const options = cause === undefined ? undefined : { cause: receiveError(cause) }
  const error = millrace ? new MillraceError(message, options) : new Error(message, options)
  Object.assign(error, fields)
  Object.defineProperty(error, 'name', { value: name, configurable: true })
  error.stack = stack
  return error
}
