import { MillraceError } from '../errors.ts'

type Unit = 'ms' | 's' | 'm' | 'min' | 'h' | 'd' | 'second' | 'seconds' | 'minute' | 'minutes' | 'hour' | 'hours' | 'day' | 'days'

/** A span of time: `'30m'`, `'10 s'`, `'2 days'`, `'1.5h'`, `'-5m'`, or a number of milliseconds. */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`

const MS: Record<Unit, number> = {
  ms: 1,
  s: 1000,
  second: 1000,
  seconds: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
}

const FORM = /^(-?\d+(?:\.\d+)?) ?([a-z]+)$/

/** Not a duration, or not one that fits the place where it was given. */
export class DurationError extends MillraceError {
  override readonly name = 'DurationError'
}

/**
 * A duration in whole milliseconds. `what` names the place in the error.
 * Throws DurationError for an unknown form or unit, for fractions of a millisecond and for what is not finite.
 *
 * @example
 * parseDuration('1.5h') // 5400000
 */
export function parseDuration(duration: Duration, what = 'duration'): number {
  const ms = typeof duration === 'number' ? duration : fromText(duration, what)
  if (!Number.isSafeInteger(ms)) {
    throw new DurationError(`${what} ${show(duration)} is not a whole number of milliseconds: write it like '30m', '10 s' or 250`)
  }
  return ms === 0 ? 0 : ms
}

/** Like parseDuration, and at least one millisecond. */
export function positiveDuration(duration: Duration, what = 'duration'): number {
  const ms = parseDuration(duration, what)
  if (ms <= 0) throw new DurationError(`${what} ${show(duration)} must be more than 0`)
  return ms
}

/** Like parseDuration, and not below 0. */
export function nonNegativeDuration(duration: Duration, what = 'duration'): number {
  const ms = parseDuration(duration, what)
  if (ms < 0) throw new DurationError(`${what} ${show(duration)} must not be negative`)
  return ms
}

function fromText(text: unknown, what: string): number {
  const match = typeof text === 'string' ? FORM.exec(text) : null
  const unit = match?.[2]
  if (match === null || unit === undefined || !Object.hasOwn(MS, unit)) {
    throw new DurationError(
      `${what} ${show(text)} is not a duration: write a number and a unit (ms, s, m, h, d), such as '30m' or '10 s', or milliseconds`,
    )
  }
  return exactly(match[1]!, MS[unit as Unit])
}

/** Decimal times integer without the error of binary fractions: 1.1 s is 1100 ms, not 1100.0000000000002. */
function exactly(decimal: string, factor: number): number {
  const point = decimal.indexOf('.')
  if (point < 0) return Number(decimal) * factor
  const digits = decimal.length - point - 1
  const scaled = Number(decimal.replace('.', '')) * factor
  return scaled / 10 ** digits
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}

/** A span for people, in the largest unit that divides it: 1800000 is `30m`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return String(ms)
  if (ms === 0) return '0ms'
  for (const unit of ['d', 'h', 'm', 's'] as const) if (ms % MS[unit] === 0) return `${ms / MS[unit]}${unit}`
  return `${ms}ms`
}
