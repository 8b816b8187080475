import type { Key } from '../graph/key.ts'
import type { OutputTag } from './output-tag.ts'

/** Pause before attempt n + 1: initialMs * factor^(n - 1), at most maxMs, less a random part of up to `jitter` of it. */
export interface Backoff {
  readonly initialMs: number
  readonly maxMs: number
  readonly factor: number
  /** 0 (none) to 1 (anything down to no pause at all). */
  readonly jitter: number
}

export const DEFAULT_BACKOFF: Backoff = { initialMs: 100, maxMs: 10_000, factor: 2, jitter: 0.5 }

/** What a call is told beside its value. */
export interface AsyncCall {
  /** Aborted when the call has run into its time-out, or nobody waits for it any more. */
  readonly signal: AbortSignal
  /** From 1. */
  readonly attempt: number
}

/** What a function of mapAsync sees beside the value. */
export interface KeyedAsyncCall extends AsyncCall {
  /** As the keyBy function gave it; undefined on a stream without a key. */
  readonly key: Key | undefined
}

/** What a record's failure leaves on the side output. */
export interface AsyncFailure<T> {
  /** The record that was called for. */
  readonly value: T
  /** The last attempt's. */
  readonly error: { readonly name: string; readonly message: string }
}

export type OnFailure<T, R> =
  /** The batch is aborted: the embedded engine ends the run, Lambda tries the batch again until it succeeds. */
  | 'fail'
  | 'drop'
  /** An AsyncFailure goes to this side output. */
  | { readonly sideOutput: OutputTag<AsyncFailure<T>> }
  /** The result to go on with. */
  | ((error: unknown, value: T) => R)

export interface AsyncOptions<T, R> {
  /** Calls at a time, at least 1. */
  readonly capacity: number
  /** Of one attempt. */
  readonly timeoutMs: number
  /** Attempts after the first one. An error with `retryable: false` is final at once. */
  readonly retries: number
  readonly backoff: Backoff
  /** `ordered`: results in the order of the input. `completed`: as they come, but never across a watermark. */
  readonly order: 'ordered' | 'completed'
  readonly onFailure: OnFailure<T, R>
}
