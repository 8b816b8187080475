import type { KeyEntry } from '../state/entry.ts'
import type { Fold } from '../windows/aggregate.ts'
import type { WindowOptions } from '../windows/options.ts'
import type { TimeWindow } from '../windows/window.ts'
import type { KeyedOperator } from './keyed-operator.ts'
import { refusePromise, tagOf, userError } from './user-code.ts'

/*
 * What a window that fires gives: the user's functions, called with what was kept of the window. The same for each of the operators that keep it.
 */

/** The result of the window's accumulator. */
export function emitResult(
  { ctx }: KeyedOperator,
  options: WindowOptions,
  fold: Fold,
  entry: KeyEntry,
  { start, end }: TimeWindow,
  acc: any,
  timestamp: number,
): void {
  let result: any
  try {
    result = fold.result(acc)
    if (options.apply !== undefined) result = options.apply(result, { key: entry.userKey, window: { start, end } })
  } catch (error) {
    throw userError(ctx, timestamp, 'the window function', error)
  }
  refusePromise(ctx, timestamp, 'the window function', 'use mapAsync behind the window', result)
  ctx.output.record(result, timestamp, entry.key)
}

/** What the full-window function makes of the window's records. */
export function emitProcessed(
  { ctx, currentWatermark }: KeyedOperator,
  options: WindowOptions,
  entry: KeyEntry,
  { start, end }: TimeWindow,
  elements: readonly any[],
  timestamp: number,
): void {
  // collected first: an error further down the chain is not this function's
  const out: { tag: string | undefined; value: any }[] = []
  let result: unknown
  try {
    result = options.process!(elements, {
      key: entry.userKey,
      window: { start, end },
      currentWatermark,
      processingTime: () => ctx.now(),
      emit: value => out.push({ tag: undefined, value }),
      output: (tag, value) => out.push({ tag: tagOf(ctx, timestamp, tag), value }),
    }) as unknown
  } catch (error) {
    throw userError(ctx, timestamp, 'the window function', error)
  }
  refusePromise(ctx, timestamp, 'the window function', 'use mapAsync behind the window', result)
  for (const { tag, value } of out) (tag === undefined ? ctx.output : ctx.side(tag)).record(value, timestamp, entry.key)
}
