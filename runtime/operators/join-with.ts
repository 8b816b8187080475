import { copyValue } from '../state/copy.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { OutputTag } from './output-tag.ts'
import { refusePromise, userError } from './user-code.ts'

const LATEST = 0
const VERSIONS = 1
const LEFTS = 2

/** The right value as of the watermark; those of later timestamps; and the left records that wait for the watermark. */
export const JOIN_WITH_STATES: readonly StateDeclaration[] = [
  { name: 'latest', primitive: 'value' },
  { name: 'versions', primitive: 'map', load: 'all' },
  { name: 'waiting', primitive: 'map', load: 'all' },
]

/** The same, where the latest value of a key is forgotten after a while. */
export function joinWithStates(ttlMs?: number): readonly StateDeclaration[] {
  if (ttlMs === undefined) return JOIN_WITH_STATES
  const [latest, ...others] = JOIN_WITH_STATES
  return [{ ...latest!, ttl: { ms: ttlMs, time: 'event', refresh: 'write' } }, ...others]
}

export interface JoinWithOptions<L, R, O> {
  /** `right` is undefined where none is known for the key. */
  readonly join: (left: L, right: R | undefined) => O
  /**
   * `event`: a left record of time t gets the right value with the greatest timestamp <= t, when the watermark has passed t. The result does not
   * depend on the order of arrival. `arrival`: it gets, at once, whatever value arrived last.
   */
  readonly time: 'event' | 'arrival'
  /** `event` only: left records at or below the watermark, whose right value may be gone; they are dropped otherwise. */
  readonly lateTag?: OutputTag<L>
}

interface Version<R> {
  readonly at: number
  readonly value: R
}

/** Enriches the left stream (input 0) with the latest value of the right one (input 1) for the same key: a temporal join. */
export class JoinWithOperator<L, R, O> extends KeyedOperator {
  private readonly options: JoinWithOptions<L, R, O>

  constructor(options: JoinWithOptions<L, R, O>) {
    super(2)
    this.options = options
  }

  protected onRecord(entry: KeyEntry, value: any, timestamp: number, input: number): void {
    const byArrival = this.options.time === 'arrival'
    if (input === 0) {
      if (byArrival) this.emit(entry, value, timestamp)
      else this.onLeft(entry, value, timestamp)
    } else if (byArrival) this.setLatest(entry, value, timestamp)
    else this.onRight(entry, value, timestamp)
  }

  /** First the right value of this very time, then the left records that may see it. */
  protected override onTimer(entry: KeyEntry, at: number): void {
    const version: R | undefined = this.state.mapGet(entry, VERSIONS, at, 0)
    if (version !== undefined) {
      this.state.mapDelete(entry, VERSIONS, at)
      this.setLatest(entry, version, at)
    }
    const lefts: L[] | undefined = this.state.mapGet(entry, LEFTS, at, 0)
    if (lefts === undefined) return
    this.state.mapDelete(entry, LEFTS, at)
    for (const left of lefts) this.emit(entry, left, at)
  }

  private onLeft(entry: KeyEntry, left: L, timestamp: number): void {
    if (timestamp <= this.currentWatermark) {
      this.dropLate(this.options.lateTag, left, timestamp, entry.key)
      return
    }
    const lefts: L[] = this.state.mapGet(entry, LEFTS, timestamp, 0) ?? []
    lefts.push(left)
    this.state.mapSet(entry, LEFTS, timestamp, lefts, 0)
    this.eventTimers.set(timestamp, entry.key)
  }

  /** A late one counts from now on, unless a newer one is known: no left record that is still to come can tell the difference. */
  private onRight(entry: KeyEntry, right: R, timestamp: number): void {
    if (timestamp <= this.currentWatermark) {
      const latest: Version<R> | undefined = this.state.value(entry, LATEST, timestamp)
      if (latest === undefined || latest.at <= timestamp) this.setLatest(entry, right, timestamp)
      return
    }
    this.state.mapSet(entry, VERSIONS, timestamp, right, 0)
    this.eventTimers.set(timestamp, entry.key)
  }

  private setLatest(entry: KeyEntry, value: R, at: number): void {
    this.state.setValue(entry, LATEST, { at, value } satisfies Version<R>, at)
  }

  private emit(entry: KeyEntry, left: L, timestamp: number): void {
    const latest: Version<R> | undefined = this.state.value(entry, LATEST, timestamp)
    let joined: O
    try {
      joined = this.options.join(left, copyValue(latest?.value))
    } catch (error) {
      throw userError(this.ctx, timestamp, 'joinWith', error)
    }
    refusePromise(this.ctx, timestamp, 'joinWith', 'use mapAsync behind it', joined)
    this.ctx.output.record(joined, timestamp, entry.key)
  }
}
