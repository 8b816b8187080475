import { type Duration, formatDuration, nonNegativeDuration } from '../api/duration.ts'
import { MillraceError } from '../errors.ts'
import { UserCodeError, userError } from '../operators/user-code.ts'
import type { WatermarkGenerator, WatermarkStrategy } from './strategy.ts'

/**
 * Records may be out of order by at most `delay`: the watermark is the highest timestamp so far, less the delay, less 1 ms (a record as old as
 * the delay allows is still on time). What comes later than that is late.
 *
 * @example
 * app.source('events', ndjson(Event), { time: e => e.timestamp, watermark: boundedOutOfOrderness('10s') })
 */
export function boundedOutOfOrderness(delay: Duration): WatermarkStrategy {
  const ms = nonNegativeDuration(delay, 'boundedOutOfOrderness')
  return { kind: `boundedOutOfOrderness(${formatDuration(ms)})`, create: () => new HighestLess(ms + 1) }
}

/**
 * Timestamps never fall within a split.
 *
 * @example
 * app.source('ticks', ndjson(Tick), { time: t => t.at, watermark: monotonous() })
 */
export function monotonous(): WatermarkStrategy {
  return { kind: 'monotonous', create: () => new HighestLess(1) }
}

/**
 * A strategy of your own: `create` makes a generator for each split, which is shown every record and answers with the watermark after it
 * (epoch ms; a lower one than before changes nothing).
 *
 * @example
 * const punctuated = customWatermark('punctuated', () => {
 *   let watermark = -Infinity
 *   return { onRecord: (timestamp, event: Event) => (event.marker ? (watermark = timestamp) : watermark) }
 * })
 */
export function customWatermark<T = any>(
  kind: string,
  create: () => { onRecord(timestamp: number, value: T): number },
): WatermarkStrategy {
  if (typeof create !== 'function')
    throw new MillraceError(
      `customWatermark('${kind}') has no function that makes generators: write customWatermark('${kind}', () => ({ onRecord: timestamp => timestamp - 1 }))`,
    )
  return { kind, create: (source = '') => checked(create(), source, `the watermark strategy '${kind}'`) }
}

/** A generator whose mistakes are told as user code's, with the source and the record. */
function checked<T>(
  generator: { onRecord(timestamp: number, value: T): number },
  source: string,
  what: string,
): WatermarkGenerator {
  if (typeof generator?.onRecord !== 'function')
    throw new MillraceError(`source '${source}': ${what} made no generator: it has no onRecord`)
  return {
    onRecord(timestamp, value) {
      let watermark: number
      try {
        watermark = generator.onRecord(timestamp, value as T)
      } catch (error) {
        throw userError({ operatorId: source }, timestamp, what, error)
      }
      if (typeof watermark === 'number' && !Number.isNaN(watermark)) return watermark
      throw new UserCodeError(
        source,
        timestamp,
        `${what} gave ${String(watermark)}: it gives epoch ms, or -Infinity before the first`,
      )
    },
  }
}

class HighestLess implements WatermarkGenerator {
  private readonly less: number
  private highest = Number.NEGATIVE_INFINITY

  constructor(less: number) {
    this.less = less
  }

  onRecord(timestamp: number): number {
    if (timestamp > this.highest) this.highest = timestamp
    return this.highest - this.less
  }
}
