import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { OutputTag } from './output-tag.ts'
import { userError } from './user-code.ts'

/** Timestamp → the best values with this timestamp so far, best first. */
export const TOP_N_STATES: readonly StateDeclaration[] = [{ name: 'best', primitive: 'map', load: 'all' }]

export interface TopNOptions<T> {
  /** How many to keep, at least 1. */
  readonly n: number
  /** Negative: `a` ranks before `b`. Where it gives 0, the order of arrival decides: break ties to have the same result on each run. */
  readonly compare: (a: T, b: T) => number
  /** Keeps also those beyond the `n`th that rank equal to it, and gives equal ones the same rank (SQL's RANK). */
  readonly ties?: boolean
  /** Records at or below the watermark, whose list is out already; they are dropped otherwise. */
  readonly lateTag?: OutputTag<T>
}

/** A record with its place in a topN. */
export interface Ranked<T> {
  /** From 1. */
  readonly rank: number
  /** The record. */
  readonly value: T
}

/**
 * The best `n` of the records with the same key and timestamp, emitted in order of rank once the watermark has reached that timestamp. The
 * results of one window all have the window's last millisecond as their timestamp: this makes "the ten most viewed items
 * of each five minutes" of a stream of counts per item and window.
 */
export class TopNOperator<T> extends KeyedOperator {
  private readonly options: TopNOptions<T>

  constructor(options: TopNOptions<T>) {
    super()
    this.options = options
  }

  protected onRecord(entry: KeyEntry, value: T, timestamp: number): void {
    if (timestamp <= this.currentWatermark) {
      this.dropLate(this.options.lateTag, value, timestamp, entry.key)
      return
    }
    const best: T[] = this.state.mapGet(entry, 0, timestamp, 0) ?? []
    if (!this.insert(best, value, timestamp)) return
    this.state.mapSet(entry, 0, timestamp, best, 0)
    if (best.length === 1) this.eventTimers.set(timestamp, entry.key)
  }

  protected override onTimer(entry: KeyEntry, at: number): void {
    const best: T[] | undefined = this.state.mapGet(entry, 0, at, 0)
    if (best === undefined) return
    this.state.mapDelete(entry, 0, at)
    let rank = 1
    for (let i = 0; i < best.length; i++) {
      if (!this.options.ties || (i > 0 && this.compare(best[i - 1]!, best[i]!, at) !== 0)) rank = i + 1
      this.ctx.output.record({ rank, value: best[i]! } satisfies Ranked<T>, at, entry.key)
    }
  }

  /** False: it is not among the best. Binary search behind all that rank before it or equal. */
  private insert(best: T[], value: T, timestamp: number): boolean {
    const { n, ties = false } = this.options
    let low = 0
    let high = best.length
    if (high >= n) {
      const order = this.compare(value, best[n - 1]!, timestamp)
      if (order > 0 || (order === 0 && !ties)) return false
    }
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.compare(value, best[middle]!, timestamp) < 0) high = middle
      else low = middle + 1
    }
    best.splice(low, 0, value)
    while (best.length > n && !(ties && this.compare(best[n - 1]!, best.at(-1)!, timestamp) === 0)) best.pop()
    return true
  }

  private compare(a: T, b: T, timestamp: number): number {
    try {
      return this.options.compare(a, b)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'the comparator of topN', error)
    }
  }
}
