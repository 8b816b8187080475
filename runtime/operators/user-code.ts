import { MillraceError } from '../errors.ts'
import type { OperatorContext } from './operator.ts'

/**
 * A function of the pipeline's author threw, or gave something it must not give. The batch is not committed; running it again will most likely
 * fail again, until the function handles this record. `cause` is what was thrown.
 */
export class UserCodeError extends MillraceError {
  override readonly name: string = 'UserCodeError'
  readonly operatorId: string
  /** Of the record or timer that was being processed, epoch ms. */
  readonly timestamp: number

  constructor(operatorId: string, timestamp: number, problem: string, cause?: unknown) {
    super(`operator '${operatorId}' at the record of ${time(timestamp)}: ${problem}`, cause === undefined ? undefined : { cause })
    this.operatorId = operatorId
    this.timestamp = timestamp
  }
}

/** What to throw when a user's function threw `cause`: errors of the runtime (from further down the chain, say) stay as they are. */
export function userError(ctx: OperatorContext, timestamp: number, fn: string, cause: unknown): Error {
  if (cause instanceof MillraceError) return cause
  return new UserCodeError(ctx.operatorId, timestamp, `${fn} threw ${describeError(cause)}`, cause)
}

/** Refuses a promise from a function that has to be synchronous. */
export function refusePromise(ctx: OperatorContext, timestamp: number, fn: string, remedy: string, result: unknown): void {
  if (typeof result !== 'object' || result === null || typeof (result as PromiseLike<unknown>).then !== 'function')
    return // It is dropped here: if it fails later, that must not end the process.
  ;(result as PromiseLike<unknown>).then(undefined, () => {})
  throw new UserCodeError(ctx.operatorId, timestamp, `${fn} returned a Promise, but has to be synchronous; ${remedy}`)
}

export function describeError(error: unknown): string {
  if (error instanceof Error) return `${error.name}: ${error.message}`
  return typeof error === 'string' ? error : (JSON.stringify(error) ?? String(error))
}

function time(timestamp: number): string {
  return Math.abs(timestamp) <= 8.64e15 ? new Date(timestamp).toISOString() : String(timestamp)
}
