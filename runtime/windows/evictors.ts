import { type Duration, positiveDuration } from '../api/duration.ts'
import { MillraceError } from '../errors.ts'
import type { TimeWindow } from './window.ts'

/** A buffered record of a window. */
export interface TimestampedValue<T> {
  /** The record. */
  readonly value: T
  /** Epoch ms. */
  readonly timestamp: number
}

/**
 * Takes records out of a window when it fires: `before` the window function sees them, or `after`. Each returns those that stay, in
 * their order; the others are gone for good. With an evictor a window keeps all its records, also for `aggregate` and `reduce`, and a window that
 * it leaves nothing of gives no result.
 *
 * @example const onlyPaid: Evictor<Order> = { before: elements => elements.filter(e => e.value.paid) }
 */
export interface Evictor<T> {
  /** What stays for the window function to see; the others are gone. */
  before?(elements: readonly TimestampedValue<T>[], window: TimeWindow): readonly TimestampedValue<T>[]
  /** What stays once it has seen them. */
  after?(elements: readonly TimestampedValue<T>[], window: TimeWindow): readonly TimestampedValue<T>[]
}

/** When an evictor works: before the window function (the default) or after it. */
export interface EvictorOptions {
  readonly after?: boolean
}

/** Keeps the last `n` records, by arrival. */
export function countEvictor(n: number, options: EvictorOptions = {}): Evictor<any> {
  if (!Number.isInteger(n) || n <= 0)
    throw new MillraceError(`countEvictor(${n}): the number of records must be whole and above 0`)
  return evictor(elements => (elements.length > n ? elements.slice(-n) : elements), options)
}

/** Keeps the records that are less than `span` older than the newest. */
export function timeEvictor(span: Duration, options: EvictorOptions = {}): Evictor<any> {
  const ms = positiveDuration(span, 'timeEvictor span')
  return evictor(elements => {
    let newest = Number.NEGATIVE_INFINITY
    for (const e of elements) if (e.timestamp > newest) newest = e.timestamp
    return elements.filter(e => e.timestamp > newest - ms)
  }, options)
}

function evictor(
  keep: (elements: readonly TimestampedValue<any>[]) => readonly TimestampedValue<any>[],
  options: EvictorOptions,
): Evictor<any> {
  return options.after === true ? { after: keep } : { before: keep }
}
