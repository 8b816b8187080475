import { MillraceError } from '../errors.ts'
import { OVER } from '../over.ts'
import type { AsyncCall, AsyncOptions, Backoff } from './async-options.ts'
import type { OperatorContext } from './operator.ts'
import { describeError } from './user-code.ts'

/** One attempt of an async call took longer than its time-out. */
export class AsyncTimeoutError extends MillraceError {
  override readonly name = 'AsyncTimeoutError'
  override readonly retryable = true
}

/** An async call failed for good, and `onFailure` is 'fail'. `cause` is the last attempt's error. */
export class AsyncCallError extends MillraceError {
  override readonly name = 'AsyncCallError'
  override readonly retryable: boolean
  readonly operatorId: string

  constructor(operatorId: string, attempts: number, cause: unknown) {
    const times = attempts === 1 ? 'once' : `${attempts} times`
    super(
      `operator '${operatorId}': a call was tried ${times} and failed: ${describeError(cause)} (to go on without such records, set onFailure)`,
      { cause },
    )
    this.operatorId = operatorId
    this.retryable = !isFinal(cause)
  }
}

export type Outcome<R> =
  | { readonly ok: true; readonly result: R }
  | { readonly ok: false; readonly error: unknown; readonly attempts: number }

/**
 * Calls `fn` until it succeeds, has failed for good, or `cancelled` is aborted (undefined then). Never rejects, and leaves no timer
 * behind; a call that does not heed its signal goes on alone, and what becomes of it is ignored.
 */
export async function attempts<R>(
  fn: (call: AsyncCall) => Promise<R>,
  options: Pick<AsyncOptions<any, any>, 'timeoutMs' | 'retries' | 'backoff'>,
  ctx: OperatorContext,
  cancelled: AbortSignal,
): Promise<Outcome<R> | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await once(fn, attempt, options.timeoutMs, ctx, cancelled)
      return cancelled.aborted ? undefined : { ok: true, result }
    } catch (error) {
      if (cancelled.aborted) return undefined
      if (attempt > options.retries || isFinal(error)) return { ok: false, error, attempts: attempt }
    }
    await ctx.sleep(pauseMs(options.backoff, attempt, ctx.random()), cancelled)
    if (cancelled.aborted) return undefined
  }
}

async function once<R>(
  fn: (call: AsyncCall) => Promise<R>,
  attempt: number,
  timeoutMs: number,
  ctx: OperatorContext,
  cancelled: AbortSignal,
): Promise<R> {
  const call = new AbortController()
  const settled = new AbortController()
  const stop = () => {
    call.abort(cancelled.reason)
    settled.abort(OVER)
  }
  cancelled.addEventListener('abort', stop)
  try {
    const timeout = ctx.sleep(timeoutMs, settled.signal).then(() => {
      settled.signal.throwIfAborted() // the race is over, or the operator cancelled
      const error = new AsyncTimeoutError(`operator '${ctx.operatorId}': a call took longer than its time-out of ${timeoutMs} ms`)
      call.abort(error)
      throw error
    })
    return await Promise.race([fn({ signal: call.signal, attempt }), timeout])
  } finally {
    cancelled.removeEventListener('abort', stop)
    settled.abort(OVER)
  }
}

/** Between (1 - jitter) and 1 times the exponential pause. */
function pauseMs({ initialMs, maxMs, factor, jitter }: Backoff, attempt: number, random: number): number {
  return Math.min(maxMs, initialMs * factor ** (attempt - 1)) * (1 - jitter * random)
}

function isFinal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { retryable?: unknown }).retryable === false
}
