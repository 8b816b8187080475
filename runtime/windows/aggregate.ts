import { copyValue } from '../state/copy.ts'

/**
 * An aggregation with an accumulator of its own type: `I` in, `A` kept per window (or pane) as state, `O` out.
 *
 * - `add` may change `acc` in place and return it, or return another.
 * - `merge(a, b)` may change `a` and return it; it never changes `b`, nor keeps a part of it that a later merge would change. In panes the
 *   first `a` is fresh from `createAccumulator()`. Needed for session windows; sliding windows are computed in panes only where it is there.
 * - `getResult` may not hand out anything that a later `add` changes, and may not change `acc`: a window can fire more than once.
 * - Accumulators are written to the log: plain data (objects, arrays, Maps, Sets, Dates, typed arrays), never `undefined`.
 *
 * @example
 * const mean: AggregateFunction<number, { sum: number; n: number }, number> = {
 *   createAccumulator: () => ({ sum: 0, n: 0 }),
 *   add: (acc, value) => { acc.sum += value; acc.n++; return acc },
 *   merge: (a, b) => { a.sum += b.sum; a.n += b.n; return a },
 *   getResult: acc => acc.sum / acc.n,
 * }
 */
export interface AggregateFunction<I, A, O> {
  createAccumulator(): A
  add(acc: A, value: I): A
  merge?(a: A, b: A): A
  /** See the API's Aggregate. */
  readonly exact?: boolean
  getResult(acc: A): O
}

/**
 * Combines two values into one of the same type; must be associative. It may change `a` and return it, never `b`.
 */
export type ReduceFunction<T> = (a: T, b: T) => T

/** What operators fold elements with: an aggregate or a reduce. `undefined` stands for no elements yet. */
export interface Fold {
  add(acc: any, value: any): any
  /** Undefined when the aggregate can't. May change `a`, never `b`. */
  readonly merge: ((a: any, b: any) => any) | undefined
  result(acc: any): any
}

export function foldOf(functions: {
  readonly aggregate?: AggregateFunction<any, any, any>
  readonly reduce?: ReduceFunction<any>
}): Fold | undefined {
  const { aggregate, reduce } = functions
  if (reduce !== undefined) {
    const step = (a: any, b: any) => (a === undefined ? b : reduce(a, b))
    // The first of several panes is in other windows too, and a function may well change `a`.
    const merge = (a: any, b: any) => (a === undefined ? copyValue(b) : reduce(a, b))
    return { add: (acc, value) => given(step(acc, value), 'reduce'), merge, result: acc => acc }
  }
  if (aggregate === undefined) return undefined
  return {
    add: (acc, value) => given(aggregate.add(acc === undefined ? aggregate.createAccumulator() : acc, value), 'add'),
    merge:
      aggregate.merge === undefined
        ? undefined
        : (a, b) => aggregate.merge!(a === undefined ? aggregate.createAccumulator() : a, b),
    result: acc => aggregate.getResult(acc),
  }
}

/** Forgetting to return the accumulator is easily done, and would lose it. */
function given(acc: any, fn: string): any {
  if (acc === undefined) throw new Error(`${fn} returned undefined; it has to return what is kept`)
  if (acc instanceof Promise)
    throw new Error(`${fn} returned a Promise, but has to be synchronous; use mapAsync before the window`)
  return acc
}
