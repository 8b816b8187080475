import type { Key } from '../graph/key.ts'
import type { BroadcastContext, BroadcastSpecs, KeyedBroadcastContext } from '../operators/broadcast-process.ts'
import type { ProcessAllContext } from '../operators/process-all.ts'
import type { ProcessContext } from '../operators/process-context.ts'
import { NoResults } from '../operators/user-code.ts'
import type { StateSpecs } from '../state/spec.ts'

/*
 * Functions of the user return (or yield) their results instead of emitting them through the context, so that the type of the stream that
 * follows is inferred from them.
 */

/** A function that declares no state. */
export type NoState = Record<never, never>

/** What a process function gives back: an array, a generator's values, or nothing. They get the timestamp of the record, or of the timer. */
export type Results<R> = readonly R[] | Generator<R, void, undefined> | void

/** What a process function without a key sees beside the value. */
export type StreamContext = Omit<ProcessAllContext<never>, 'emit'>

/** What a keyed process function sees beside the value: the key, its state and timers, time, side outputs. */
export type KeyedContext<S extends StateSpecs, K extends Key> = Omit<ProcessContext<never, S, K>, 'emit'>

/** The same, with the broadcast state to read. */
export type KeyedBroadcastRecordContext<S extends StateSpecs, B extends BroadcastSpecs, K extends Key> = Omit<
  KeyedBroadcastContext<never, S, B, K>,
  'emit'
>

/** What `onBroadcast` sees: the broadcast state to change; no key. */
export type BroadcastRecordContext<B extends BroadcastSpecs> = Omit<BroadcastContext<never, B>, 'emit'>

type Emitting = { emit(value: unknown): void }

/** Turns a function that returns its results into one that emits them. */
export function emitting<C extends Emitting>(
  fn: (value: any, ctx: any, extra?: any) => unknown,
): (value: any, ctx: C, extra?: any) => void {
  return (value, ctx, extra) => {
    const results = fn(value, ctx, extra)
    if (results === undefined || results === null) return
    if (Array.isArray(results)) for (let i = 0; i < results.length; i++) ctx.emit(results[i])
    else if (typeof results === 'object' && results !== null && Symbol.iterator in results) {
      for (const result of results as Iterable<unknown>) ctx.emit(result)
    } else return (isPromise(results) ? results : new NoResults(results)) as never // the operator refuses both
  }
}

function isPromise(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown>).then === 'function'
}
