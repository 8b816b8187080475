import { type Duration, parseDuration } from '../api/duration.ts'
import { MillraceError } from '../errors.ts'
import { countEvictor, type Evictor } from './evictors.ts'
import { never, onCount, onEventTime, onProcessingTime, purging, type Trigger } from './triggers.ts'

/** Whose clock puts records into windows: their own timestamps, or the machine's when they are processed. */
export type WindowTime = 'event' | 'processing'

/** Windows of one size that start every `slide` ms, at `offset` from the epoch. Tumbling: `slide` is `size`. */
export interface SlidingAssigner {
  readonly kind: 'sliding'
  readonly time: WindowTime
  readonly size: number
  readonly slide: number
  readonly offset: number
}

/** Windows that last until no record has come for `gap` ms. */
export interface SessionAssigner<T> {
  readonly kind: 'session'
  readonly time: WindowTime
  readonly gap: number | ((value: T) => number)
}

/** One window for everything, which fires by its trigger only. */
export interface GlobalAssigner {
  readonly kind: 'global'
  readonly time: 'event'
  /** What counted windows come with, unless the user sets their own. */
  readonly trigger: Trigger
  readonly evictor?: Evictor<any>
}

/** Which windows a record belongs to; made by `tumbling`, `sliding`, `session`, `globalWindow` and `countWindow`. */
export type WindowAssigner<T = any> = SlidingAssigner | SessionAssigner<T> | GlobalAssigner

/** Settings that windows of a fixed size share. */
export interface FixedWindowOptions {
  /** Moves the windows from their alignment to the epoch (UTC): `-8 h` in ms for days of UTC+8. Less than a slide. */
  readonly offset?: Duration
  /** Default `event`. */
  readonly time?: WindowTime
}

/**
 * Windows of one size, one after the other, aligned to the epoch. Throws MillraceError for a size that is no whole positive number of ms.
 *
 * @example tumbling('5m')
 * @example tumbling('1 d', { offset: -8 * 3_600_000 })
 */
export function tumbling(size: Duration, options: FixedWindowOptions = {}): WindowAssigner<unknown> {
  const ms = positive(size, 'the size of a tumbling window')
  return { kind: 'sliding', time: timeOf(options.time), size: ms, slide: ms, offset: offsetOf(options.offset, ms, 'size') }
}

/**
 * Windows of one size that start every `slide`; a record counts in each that covers it. With a slide above the size there are gaps.
 *
 * @example sliding('30m', '1m')
 */
export function sliding(size: Duration, slide: Duration, options: FixedWindowOptions = {}): WindowAssigner<unknown> {
  const every = positive(slide, 'the slide of a sliding window')
  return {
    kind: 'sliding',
    time: timeOf(options.time),
    size: positive(size, 'the size of a sliding window'),
    slide: every,
    offset: offsetOf(options.offset, every, 'slide'),
  }
}

/**
 * Windows that last until no record has come for `gap`: a fixed one, or one of the record's own in ms. Sessions that overlap or touch merge.
 *
 * @example session('10m')
 * @example session((e: Click) => (e.mobile ? 60_000 : 600_000))
 */
export function session<T = unknown>(
  gap: Duration | ((value: T) => number),
  options: { readonly time?: WindowTime } = {},
): WindowAssigner<T> {
  return {
    kind: 'session',
    time: timeOf(options.time),
    gap: typeof gap === 'function' ? gap : positive(gap, 'the gap of a session window'),
  }
}

/**
 * One window for all records of a key. It fires by its trigger only; without one, never. Results carry the greatest timestamp of
 * the records in it, since the window itself has no end.
 */
export function globalWindow(): WindowAssigner<unknown> {
  return { kind: 'global', time: 'event', trigger: never() }
}

/**
 * Every `n` records of a key; with `slide`, the last `n` records after every `slide` of them. What is left when the input ends does not fire.
 *
 * @example countWindow(100)
 * @example countWindow(100, 10)
 */
export function countWindow(n: number, slide?: number): WindowAssigner<unknown> {
  if (slide === undefined) return { kind: 'global', time: 'event', trigger: purging(onCount(n)) }
  return { kind: 'global', time: 'event', trigger: onCount(slide), evictor: countEvictor(n) }
}

/** What fires the windows when the user names no trigger. */
export function defaultTrigger(assigner: WindowAssigner): Trigger {
  if (assigner.kind === 'global') return assigner.trigger
  return assigner.time === 'event' ? onEventTime() : onProcessingTime()
}

/** For plans: `sliding 1800000 ms every 60000 ms`. */
export function describeAssigner(assigner: WindowAssigner): string {
  const clock = assigner.time === 'processing' ? ', processing time' : ''
  if (assigner.kind === 'global') return 'global'
  if (assigner.kind === 'session') {
    return `session, gap ${typeof assigner.gap === 'number' ? `${assigner.gap} ms` : 'of the record'}${clock}`
  }
  const { size, slide, offset } = assigner
  const shift = offset === 0 ? '' : `, offset ${offset} ms`
  return `${size === slide ? `tumbling ${size} ms` : `sliding ${size} ms every ${slide} ms`}${shift}${clock}`
}

function positive(duration: Duration, what: string): number {
  const ms = parseDuration(duration)
  if (!Number.isInteger(ms) || ms <= 0) {
    throw new MillraceError(`${what} is ${duration}: it must be a whole number of milliseconds above 0`)
  }
  return ms
}

function offsetOf(offset: Duration | undefined, slide: number, limit: string): number {
  if (offset === undefined) return 0
  const ms = typeof offset === 'number' ? offset : parseDuration(offset)
  if (!Number.isInteger(ms) || Math.abs(ms) >= slide) {
    throw new MillraceError(
      `the offset ${offset} of a window must be a whole number of milliseconds smaller than its ${limit} (${slide} ms)`,
    )
  }
  return ms
}

function timeOf(time: WindowTime | undefined): WindowTime {
  if (time === undefined || time === 'event' || time === 'processing') return time ?? 'event'
  throw new MillraceError(`the time of a window is '${String(time)}': choose 'event' or 'processing'`)
}
