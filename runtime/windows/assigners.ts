import { type Duration, formatDuration, parseDuration, positiveDuration } from '../api/duration.ts'
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
  /** Moves the windows from their alignment to the epoch (UTC): `'-8h'` for days of UTC+8. Smaller than a slide. */
  readonly offset?: Duration
  /** Default `event`. */
  readonly time?: WindowTime
}

/**
 * Windows of one size, one after the other, aligned to the epoch. Throws DurationError for a size of 0 or less,
 * MillraceError for an offset that is not smaller than the size.
 *
 * @example tumbling('5m')
 * @example tumbling('1d', { offset: '-8h' }) // days of UTC+8
 */
export function tumbling(size: Duration, options: FixedWindowOptions = {}): WindowAssigner<unknown> {
  const ms = positiveDuration(size, 'tumbling window size')
  return { kind: 'sliding', time: timeOf(options.time), size: ms, slide: ms, offset: offsetOf(options.offset, ms, 'size') }
}

/**
 * Windows of one size that start every `slide`; a record counts in each that covers it. With a slide above the size there are gaps.
 *
 * @example sliding('30m', '1m')
 */
export function sliding(size: Duration, slide: Duration, options: FixedWindowOptions = {}): WindowAssigner<unknown> {
  const every = positiveDuration(slide, 'sliding window slide')
  return {
    kind: 'sliding',
    time: timeOf(options.time),
    size: positiveDuration(size, 'sliding window size'),
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
    gap: typeof gap === 'function' ? gap : positiveDuration(gap, 'session gap'),
  }
}

/**
 * One window for all records of a key. It fires by its trigger only; without one, never. Results carry the greatest timestamp of
 * the records that came since it was last purged: the window itself has no end.
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
  for (const [what, count] of Object.entries({ size: n, slide: slide ?? n }))
    if (!Number.isInteger(count) || count <= 0)
      throw new MillraceError(`countWindow: its ${what} is ${count}: the number of records must be whole and above 0`)
  if (slide === undefined) return { kind: 'global', time: 'event', trigger: purging(onCount(n)) }
  return { kind: 'global', time: 'event', trigger: onCount(slide), evictor: countEvictor(n) }
}

/** What fires the windows when the user names no trigger. */
export function defaultTrigger(assigner: WindowAssigner): Trigger {
  if (assigner.kind === 'global') return assigner.trigger
  return assigner.time === 'event' ? onEventTime() : onProcessingTime()
}

/** For plans: `sliding 30m every 1m`. */
export function describeAssigner(assigner: WindowAssigner): string {
  const clock = assigner.time === 'processing' ? ', processing time' : ''
  if (assigner.kind === 'global') return 'global'
  if (assigner.kind === 'session') {
    return `session, gap ${typeof assigner.gap === 'number' ? formatDuration(assigner.gap) : 'of the record'}${clock}`
  }
  const { size, slide, offset } = assigner
  const shift = offset === 0 ? '' : `, offset ${formatDuration(offset)}`
  return `${size === slide ? `tumbling ${formatDuration(size)}` : `sliding ${formatDuration(size)} every ${formatDuration(slide)}`}${shift}${clock}`
}

function offsetOf(offset: Duration | undefined, slide: number, limit: string): number {
  if (offset === undefined) return 0
  const ms = parseDuration(offset, 'window offset')
  if (Math.abs(ms) < slide) return ms
  throw new MillraceError(`window offset '${offset}' must be smaller than the window's ${limit}, ${formatDuration(slide)}`)
}

function timeOf(time: WindowTime | undefined): WindowTime {
  if (time === undefined || time === 'event' || time === 'processing') return time ?? 'event'
  throw new MillraceError(`the time of a window is '${String(time)}': choose 'event' or 'processing'`)
}
