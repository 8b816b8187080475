import { type Duration, nonNegativeDuration } from '../../api/duration.ts'
import { MillraceError } from '../../errors.ts'
import { UsageError } from '../error.ts'

/** Epoch ms of `2026-01-31`, `2026-01-31T12:00:00Z` or `1769860800000`. A time of day needs its zone: nobody is to guess. */
export function timeOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{12,14}$/.test(text)) return Number(text)
  const day = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const zoned = /^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:?\d{2})$/.test(text)
  const time = day || zoned ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time))
    throw new UsageError(
      `--${flag} ${text}: a day (2026-01-31, which begins at 0:00 UTC), a time with its zone (2026-01-31T12:00:00Z) or epoch milliseconds are needed`,
    )
  return time
}

/** @throws UsageError for a range in which nothing can be */
export function rangeOf(since: string | undefined, until: string | undefined): { since?: number; until?: number } {
  const from = timeOf('since', since)
  const to = timeOf('until', until)
  if (from !== undefined && to !== undefined && from >= to)
    throw new UsageError(`--since ${since} --until ${until}: the first has to be before the second`)
  return { ...(from !== undefined && { since: from }), ...(to !== undefined && { until: to }) }
}

/** Of `1d`, `0s`. */
export function slackOf(text: string | undefined): { slackMs?: number } {
  if (text === undefined) return {}
  try {
    return { slackMs: nonNegativeDuration(text as Duration, '--slack') }
  } catch (error) {
    if (error instanceof MillraceError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}
