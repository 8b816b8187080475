import { MillraceError } from '../errors.ts'
import type { Key } from '../graph/key.ts'
import { StateError } from '../state/error.ts'
import type { OperatorContext } from './operator.ts'
import type { OutputTag } from './output-tag.ts'
import { userPlace } from './user-place.ts'

/** Of a thrown message: a validator's may hold the whole record. */
const MESSAGE_CHARS = 300

/**
 * A function of the pipeline's author threw, or gave something it must not give. The batch is not committed; running it again will most likely
 * fail again, until the function handles this record. `cause` is what was thrown.
 */
export class UserCodeError extends MillraceError {
  override readonly name: string = 'UserCodeError'
  readonly operatorId: string
  /** Of the record or timer that was being processed, epoch ms; undefined: it was one of a whole batch. */
  readonly timestamp: number | undefined
  /** That the record or timer runs under; undefined: none that is known. */
  readonly key: Key | undefined
  private readonly problem: string

  constructor(operatorId: string, timestamp: number | undefined, problem: string, cause?: unknown, key?: Key) {
    super(`${recordOf(operatorId, timestamp, key)}: ${problem}`, cause === undefined ? undefined : { cause })
    this.operatorId = operatorId
    this.timestamp = timestamp
    this.problem = problem
    this.key = key
  }

  /** The same error, which names the key. */
  withKey(key: Key): UserCodeError {
    const named = new UserCodeError(this.operatorId, this.timestamp, this.problem, this.cause, key)
    named.stack = `${named.name}: ${named.message}${this.stack?.slice(this.stack.indexOf(this.message) + this.message.length) ?? ''}`
    return named
  }
}

/** What to throw when a user's function threw `cause`: errors of the runtime (from further down the chain, say) stay as they are. */
export function userError(ctx: Pick<OperatorContext, 'operatorId'>, timestamp: number, fn: string, cause: unknown): Error {
  if (cause instanceof StateError && !cause.message.startsWith('operator '))
    return new StateError(`${recordOf(ctx.operatorId, timestamp)}: ${cause.message}`, { cause })
  if (cause instanceof MillraceError) return cause
  return new UserCodeError(ctx.operatorId, timestamp, `${fn} threw ${describeError(cause)}`, cause)
}

/** A timestamp that a function gave its result: whole milliseconds, because windows are cut between them. */
export function wholeMs(
  { ctx, timestamp }: { ctx: Pick<OperatorContext, 'operatorId'>; timestamp: number },
  given: number,
): number {
  // Its own, when it gave none: a timer may be set for Infinity, the end of the input.
  if (given === timestamp) return given
  if (Number.isFinite(given)) return Math.floor(given)
  throw new UserCodeError(ctx.operatorId, timestamp, `a result's timestamp must be a number of epoch ms, not ${String(given)}`)
}

/** What a function returned in the place of a list of results. */
export class NoResults {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

/** Refuses a promise from a function that has to be synchronous, and what is no list of results. */
export function refusePromise(ctx: OperatorContext, timestamp: number, fn: string, remedy: string, result: unknown): void {
  if (typeof result !== 'object' || result === null) return
  if (result instanceof NoResults) {
    const what = typeof result.value === 'object' ? 'an object' : (JSON.stringify(result.value) ?? typeof result.value)
    throw new UserCodeError(
      ctx.operatorId,
      timestamp,
      `${fn} returned ${what}: return an array of results, or yield them, or return nothing`,
    )
  }
  if (typeof (result as PromiseLike<unknown>).then !== 'function')
    return // It is dropped here: if it fails later, that must not end the process.
  ;(result as PromiseLike<unknown>).then(undefined, () => {})
  throw new UserCodeError(ctx.operatorId, timestamp, `${fn} returned a Promise, but has to be synchronous; ${remedy}`)
}

/** The id of a tag that a function emits to. */
export function tagOf(ctx: Pick<OperatorContext, 'operatorId'>, timestamp: number, tag: OutputTag<any>): string {
  if (typeof tag?.id === 'string') return tag.id
  const given = typeof tag === 'string' ? `'${tag}'` : String(tag)
  throw new UserCodeError(
    ctx.operatorId,
    timestamp,
    `output was given ${given} in the place of a tag: make one with sideOutput<Alert>('alerts')`,
  )
}

/** What was thrown, in one line: `RangeError: no such item`. */
export function describeThrown(error: unknown): string {
  if (error instanceof Error) return `${error.name}: ${oneLine(error.message)}`
  return oneLine(typeof error === 'string' ? error : (JSON.stringify(error) ?? String(error)))
}

/** With the place: `RangeError: no such item (pipeline.ts:12)`. */
export function describeError(error: unknown): string {
  return `${describeThrown(error)}${placeOf(error)}`
}

/** ` (pipeline.ts:12)`, where that is known. */
export function placeOf(error: unknown): string {
  const place = userPlace(error)
  return place === undefined ? '' : ` (${place})`
}

/** Which record of which operator: how errors of a user's function begin. */
export function recordOf(operatorId: string, timestamp: number | undefined, key?: Key): string {
  const under = key === undefined ? '' : ` under the key ${oneLine(JSON.stringify(key))}`
  if (timestamp === undefined) return `operator '${operatorId}'${under}`
  return `operator '${operatorId}' at the record of ${time(timestamp)}${under}`
}

function oneLine(text: string): string {
  const flat = text.replace(/\s+/g, ' ')
  return flat.length > MESSAGE_CHARS ? `${flat.slice(0, MESSAGE_CHARS)}…` : flat
}

/** What JavaScript can make a date of, epoch ms: some 275,000 years either way. */
export const TIME_MAX = 8.64e15

function time(timestamp: number): string {
  return Math.abs(timestamp) <= TIME_MAX ? new Date(timestamp).toISOString() : String(timestamp)
}
