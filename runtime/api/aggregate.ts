import { syncFunction } from './check.ts'
import { PipelineError } from './error.ts'

/**
 * Folds many values into one result, as Flink's AggregateFunction does. Accumulators are plain data (they are stored), and `add` may change the one
 * it was given and return it.
 */
export interface Aggregate<I, A, O> {
  /** Of a key (and window) that has had no value yet. */
  readonly createAccumulator: () => A
  /** The accumulator with one more value; it may be changed in place and returned. */
  readonly add: (accumulator: A, value: I) => A
  /**
   * Of two accumulators: may change `a` and return it, never `b`. Without it, sliding windows can't share panes and session windows can't be used.
   */
  readonly merge?: (a: A, b: A) => A
  /**
   * In whatever parts and order values are added up and the parts merged, the result is the same, bit for bit. It is of counts, but not of sums of fractions, which are rounded. Then a backfill adds up
   * the records of a tumbling or sliding window before it sends them to the other stage.
   */
  readonly exact?: boolean
  /** Takes a value out again that was added: what running aggregates of rows that change need. May change the accumulator and return it. */
  readonly retract?: (accumulator: A, value: I) => A
  /** What is put out. Must not change the accumulator. */
  readonly getResult: (accumulator: A) => O
  /** Of the accumulators that this code makes; default 1. One more each time that older ones have to be changed. */
  readonly version?: number
  /** By version: makes an accumulator of that version one of the next. */
  readonly migrate?: Readonly<Record<number, (old: any) => unknown>>
  /** The fields of the input that it reads, where that is known; others need not travel. */
  readonly fields?: readonly string[]
}

/**
 * An aggregate of your own.
 *
 * @example
 * const longest = aggregate({
 *   createAccumulator: () => '',
 *   add: (longest, event: Search) => (event.query.length > longest.length ? event.query : longest),
 *   merge: (a, b) => (b.length > a.length ? b : a),
 *   getResult: longest => longest,
 * })
 */
export function aggregate<I, A, O>(definition: Aggregate<I, A, O>): Aggregate<I, A, O> {
  for (const part of ['createAccumulator', 'add', 'getResult'] as const) {
    if (typeof definition?.[part] !== 'function') {
      throw new PipelineError('aggregate', `${part} is missing`, `Give it a function ${part}`)
    }
  }
  return definition
}

/**
 * How many.
 *
 * @example
 * views.keyBy('item_id').window(tumbling('1m')).aggregate(count())
 */
export function count(): Aggregate<unknown, number, number> {
  return {
    createAccumulator: () => 0,
    add: n => n + 1,
    merge: (a, b) => a + b,
    exact: true,
    retract: n => n - 1,
    getResult: n => n,
    fields: [],
  }
}

/**
 * The sum of a field.
 *
 * @example
 * sales.keyBy('shop').window(tumbling('1h')).aggregate(sum('price'))
 */
export function sum<F extends string>(field: F): Aggregate<{ readonly [N in F]: number }, number, number> {
  return {
    createAccumulator: () => 0,
    add: (total, value) => total + numberIn(value, field, 'sum'),
    merge: (a, b) => a + b,
    retract: (total, value) => total - numberIn(value, field, 'sum'),
    getResult: total => total,
    fields: [named(field, 'sum')],
  }
}

/**
 * The smallest value of a field.
 *
 * @example
 * sales.keyBy('shop').window(tumbling('1h')).aggregate(min('price'))
 */
export function min<F extends string>(field: F): Aggregate<{ readonly [N in F]: number }, number, number> {
  return extreme(field, 'min', Math.min, Number.POSITIVE_INFINITY)
}

/**
 * The largest value of a field.
 *
 * @example
 * sales.keyBy('shop').window(tumbling('1h')).aggregate(max('price'))
 */
export function max<F extends string>(field: F): Aggregate<{ readonly [N in F]: number }, number, number> {
  return extreme(field, 'max', Math.max, Number.NEGATIVE_INFINITY)
}

function extreme<F extends string>(
  field: F,
  what: string,
  pick: (a: number, b: number) => number,
  none: number,
): Aggregate<{ readonly [N in F]: number }, number, number> {
  return {
    createAccumulator: () => none,
    add: (best, value) => pick(best, numberIn(value, field, what)),
    merge: pick,
    exact: true,
    getResult: best => best,
    fields: [named(field, what)],
  }
}

/**
 * The mean of a field.
 *
 * @example
 * sales.keyBy('shop').window(tumbling('1h')).aggregate(avg('price'))
 */
export function avg<F extends string>(
  field: F,
): Aggregate<{ readonly [N in F]: number }, { sum: number; count: number }, number> {
  return {
    createAccumulator: () => ({ sum: 0, count: 0 }),
    add: (acc, value) => {
      acc.sum += numberIn(value, field, 'avg')
      acc.count++
      return acc
    },
    merge: (a, b) => ({ sum: a.sum + b.sum, count: a.count + b.count }),
    retract: (acc, value) => {
      acc.sum -= numberIn(value, field, 'avg')
      acc.count--
      return acc
    },
    getResult: acc => acc.sum / acc.count,
    fields: [named(field, 'avg')],
  }
}

/** Anything else would come to nonsense in silence: text is appended, and what is not there makes NaN. */
function numberIn<F extends string>(value: { readonly [N in F]: number }, field: F, what: string): number {
  const found = value[field]
  if (typeof found === 'number') return found
  throw new TypeError(
    `${what}('${field}') found ${found === null ? 'null' : typeof found === 'string' ? `'${found}'` : typeof found} there, which is no number`,
  )
}

type Parts = { readonly [name: string]: Aggregate<any, any, any> }
type InputOf<P extends Parts> = {
  [N in keyof P]: (value: P[N] extends Aggregate<infer I, any, any> ? I : never) => void
}[keyof P] extends (value: infer I) => void
  ? I
  : never
type ResultOf<P extends Parts> = { -readonly [N in keyof P]: P[N] extends Aggregate<any, any, infer O> ? O : never }

/**
 * Several aggregates at once, as an object of their results.
 *
 * @example
 * sales.keyBy('shop').window(tumbling('1h')).aggregate(all({ sales: count(), revenue: sum('price') }))
 */
export function all<P extends Parts>(parts: P): Aggregate<InputOf<P>, { [N in keyof P]: any }, ResultOf<P>> {
  if (typeof parts !== 'object' || parts === null)
    throw new PipelineError('all', 'it was given no aggregates', "Write all({ sales: count(), revenue: sum('price') })")
  const names = Object.keys(parts)
  const each = (make: (part: Aggregate<any, any, any>, name: string) => unknown): any => {
    const result: Record<string, unknown> = {}
    for (const name of names) result[name] = make(parts[name]!, name)
    return result
  }
  const step = (method: 'add' | 'retract') => (acc: any, value: any) => {
    for (const name of names) acc[name] = parts[name]![method]!(acc[name], value)
    return acc
  }
  const known = names.every(name => parts[name]!.fields !== undefined)
  const mergeable = names.every(name => parts[name]!.merge !== undefined)
  return {
    createAccumulator: () => each(part => part.createAccumulator()),
    add: step('add'),
    ...(names.every(name => parts[name]!.retract !== undefined) ? { retract: step('retract') } : {}),
    ...(mergeable ? { merge: (a: any, b: any) => each((part, name) => part.merge!(a[name], b[name])) } : {}),
    ...(mergeable && names.every(name => parts[name]!.exact === true) ? { exact: true } : {}),
    getResult: (acc: any) => each((part, name) => part.getResult(acc[name])),
    ...(known ? { fields: [...new Set(names.flatMap(name => parts[name]!.fields!))] } : {}),
  }
}

/**
 * An aggregate of only the values for which the predicate is true (SQL's FILTER).
 *
 * @example
 * sales.keyBy('shop').window(tumbling('1h')).aggregate(all({ sales: count(), large: filtered(count(), sale => sale.price > 100) }))
 */
export function filtered<T extends I, I, A, O>(aggregate: Aggregate<I, A, O>, where: (value: T) => boolean): Aggregate<T, A, O> {
  syncFunction(where, 'filtered', 'Write filtered(count(), e => e.amount > 0)')
  const { add, retract } = aggregate
  return {
    ...aggregate,
    add: (acc, value) => (where(value) ? add(acc, value) : acc),
    ...(retract && { retract: (acc, value) => (where(value) ? retract(acc, value) : acc) }),
    fields: undefined, // the predicate may read any
  }
}

/**
 * How many different values a field has. All of them are kept.
 *
 * @example
 * bids.keyBy('auction').window(tumbling('1h')).aggregate(countDistinct('price'))
 */
export function countDistinct<F extends string>(
  field: F,
): Aggregate<{ readonly [N in F]: string | number }, Set<string | number>, number> {
  return {
    createAccumulator: () => new Set(),
    add: (seen, value) => seen.add(value[field]),
    merge(a, b) {
      for (const value of b) a.add(value)
      return a
    },
    getResult: seen => seen.size,
    fields: [named(field, 'countDistinct')],
  }
}

function named(field: string, what: string): string {
  if (typeof field !== 'string' || field === '') {
    throw new PipelineError(what, 'it needs the name of a field', `Write ${what}('price')`)
  }
  return field
}
