import { type KeyPart, shortId } from '../graph/key.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { OutputTag } from './output-tag.ts'
import { UserCodeError, userError } from './user-code.ts'

/** Id → timestamps of the records that count as firsts, in order of time: mostly one, which is then a number alone. */
export const DEDUP_STATES: readonly StateDeclaration[] = [{ name: 'seen', primitive: 'map', load: 'all' }]

/** Ids are swept this many times in the course of a TTL: more keep fewer dead ones, and cost more timers. */
const SWEEPS_PER_TTL = 8

export interface DedupOptions<T> {
  /** Undefined or null: the record has no id and passes. */
  readonly id: (value: T) => string | number | null | undefined
  /** In event time: how far from the first record with its id (before or after) a record counts as a duplicate. Infinity: however far. */
  readonly ttlMs: number
  /** Records this far behind the watermark are late and go no further: whether they are duplicates is no longer known. Undefined: none is late. */
  readonly latenessMs?: number
  /** Late records; they are dropped otherwise. */
  readonly lateTag?: OutputTag<T>
}

/**
 * Drops a record if one with the same key and id passed before it and their timestamps lie less than the TTL apart. Duplicates do not
 * renew the TTL: a record a full TTL after the first passes, and is a first as well.
 *
 * An id is remembered until the watermark is a TTL and the lateness behind its first record. So with a lateness, no duplicate gets through, however
 * late; without one, a duplicate may that comes when the watermark is a TTL or more beyond its first.
 */
export class DedupOperator<T> extends KeyedOperator {
  private readonly id: DedupOptions<T>['id']
  private readonly ttlMs: number
  private readonly keptMs: number
  private readonly sweepMs: number
  private readonly latenessMs: number
  private readonly lateTag: OutputTag<T> | undefined

  constructor(options: DedupOptions<T>) {
    super()
    this.id = options.id
    this.ttlMs = options.ttlMs
    this.latenessMs = options.latenessMs ?? Number.POSITIVE_INFINITY
    this.lateTag = options.lateTag
    this.keptMs = options.ttlMs + (options.latenessMs ?? 0)
    this.sweepMs = Math.max(1, Math.floor(options.ttlMs / SWEEPS_PER_TTL))
  }

  protected onRecord(entry: KeyEntry, value: T, timestamp: number): void {
    if (timestamp + this.latenessMs <= this.currentWatermark) {
      this.dropLate(this.lateTag, value, timestamp, entry.key)
      return
    }
    const id = this.idOf(value, timestamp)
    if (id !== undefined) {
      const stored: Stored | undefined = this.state.mapGet(entry, 0, id, 0)
      if (stored !== undefined && listOf(stored).some(first => Math.abs(timestamp - first) < this.ttlMs)) return
      const firsts = stored === undefined ? timestamp : [...listOf(stored), timestamp].sort((a, b) => a - b)
      this.remember(entry, id, firsts, timestamp)
    }
    this.ctx.output.record(value, timestamp, entry.key)
  }

  /** Forgets the ids that no record which is not late can be a duplicate of. */
  protected override onTimer(entry: KeyEntry, at: number): void {
    for (const [id, stored] of this.state.mapEntries(entry, 0, 0)) {
      const firsts = listOf(stored)
      const kept = firsts.filter(first => first + this.keptMs > at)
      if (kept.length === 0) this.state.mapDelete(entry, 0, id)
      else if (kept.length < firsts.length) this.state.mapSet(entry, 0, id, compact(kept), 0)
    }
  }

  private remember(entry: KeyEntry, id: KeyPart, firsts: Stored, timestamp: number): void {
    this.state.mapSet(entry, 0, id, firsts, 0)
    if (this.keptMs === Number.POSITIVE_INFINITY) return
    this.eventTimers.set(Math.ceil((timestamp + this.keptMs) / this.sweepMs) * this.sweepMs, entry.key)
  }

  private idOf(value: T, timestamp: number): KeyPart | undefined {
    let id: unknown
    try {
      id = this.id(value)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'the id function of dedup', error)
    }
    if (id === undefined || id === null) return undefined
    if (typeof id === 'string' || (typeof id === 'number' && !Number.isNaN(id))) return shortId(id)
    throw new UserCodeError(
      this.ctx.operatorId,
      timestamp,
      `the id function of dedup gave ${typeof id}: an id is a string or a number`,
    )
  }
}

type Stored = number | readonly number[]

function listOf(stored: Stored): readonly number[] {
  return typeof stored === 'number' ? [stored] : stored
}

function compact(firsts: readonly number[]): Stored {
  return firsts.length === 1 ? firsts[0]! : firsts
}
