import type { KeyPart } from '../graph/key.ts'
import { literalOf } from '../operators/pick.ts'
import { copyValue, isFlat } from './copy.ts'
import { DELETED, type KeyEntry, type MapSlot } from './entry.ts'
import type { KeyedState } from './keyed-state.ts'

/** The values of one time, in order of arrival; a single one that is neither an array nor undefined: itself. */
type Stored = unknown

const spread = (value: any) => ({ ...value })

/** Memory is swept this many times in the time that values are kept, and between two sweeps times lie this far apart at least. */
const SWEEPS = 64
const SWEEP_MS_MIN = 1000

/**
 * Values by time in a map state, for operators that look up ranges of time. The map must be `load: 'all'`, and say how long its entries are kept (`keptMs`). Where a key has several times, their order is
 * kept beside the state, in memory, and made again when the key is loaded again.
 *
 * That a value has expired is no change of the state: whoever asks for a range that none can be in does not find it, whether it is there still or not. So there are no timers, and nothing is logged: folds leave it out, and
 * `sweep` takes it from memory.
 */
export class TimeBuffer<T> {
  private readonly state: KeyedState
  private readonly index: number
  private readonly keptMs: number
  /**
   * Of a value that was added here or that `range` gave. The cheapest that copies all values so far: mostly a literal of the fields of the first, of which V8 does not even make what its caller does not keep. (A
   * function for each side of a join: it is compiled into the caller only where it is always the same.)
   */
  copy: (value: any) => any = spread
  private fields: readonly string[] | undefined
  /** Keys by when something of them expires: in so many `sweepMs`. Not those that were in memory before, until `watch`. */
  private readonly due = new Map<number, KeyPart[]>()
  private readonly sweepMs: number
  /** The first watermark by which all of some `due` have expired. */
  private nextSweep = Number.POSITIVE_INFINITY
  /** Keys that have to stay until a commit, as they were written since the last one, whose `epoch` this was. */
  private unsettled: KeyPart[] = []
  private epoch = 0

  constructor(state: KeyedState, index: number) {
    this.state = state
    this.index = index
    this.keptMs = state.declarations[index]!.keptMs!
    this.sweepMs = Math.max(SWEEP_MS_MIN, Math.floor(this.keptMs / SWEEPS))
  }

  add(entry: KeyEntry, timestamp: number, value: T): void {
    const slot = this.state.slot(entry, this.index)
    this.look(value)
    let stored: Stored
    if (slot.entries.size === 0) stored = single(value)
    else {
      const { times, values } = this.orderOf(slot) // before the write, or it would have the timestamp already
      const at = times.length === 0 || timestamp > times[times.length - 1]! ? times.length : lowerBound(times, timestamp)
      if (times[at] === timestamp) stored = values[at] = appended(values[at], value)
      else {
        stored = single(value)
        insert(times, at, timestamp)
        insert(values, at, stored)
      }
    }
    this.state.mapSet(entry, this.index, timestamp, stored, 0)
    this.expires(entry.key, slot, timestamp)
  }

  /** Of a key that came into memory from the log: what it has is swept as what is added. */
  watch(entry: KeyEntry): void {
    const slot = this.state.peek(entry, this.index)
    if (slot === undefined) return
    slot.due = undefined
    slot.entries.forEach((_, at) => {
      this.expires(entry.key, slot, at as number)
    })
  }

  private expires(key: KeyPart, slot: MapSlot, timestamp: number): void {
    const at = Math.floor((timestamp + this.keptMs) / this.sweepMs)
    // Once for all records of a key that come in order and expire together.
    if (slot.due === at) return
    slot.due = at
    const keys = this.due.get(at)
    if (keys !== undefined) keys.push(key)
    else {
      this.due.set(at, [key])
      this.nextSweep = Math.min(this.nextSweep, (at + 1) * this.sweepMs)
    }
  }

  /** Calls `visit` for the values with from <= timestamp <= to, in order of time, then arrival. */
  range(entry: KeyEntry, from: number, to: number, visit: (value: T, timestamp: number) => void): void {
    const slot = this.state.peek(entry, this.index)
    if (slot === undefined) return
    if (slot.order === undefined && slot.entries.size < 2) {
      slot.entries.forEach((stored, at) => {
        if (stored === DELETED || (at as number) < from || (at as number) > to) return
        this.lookAt(stored)
        visitEach(stored, at as number, visit)
      })
      return
    }
    const { times, values } = this.orderOf(slot)
    for (let i = lowerBound(times, from); i < times.length && times[i]! <= to; i++) visitEach(values[i], times[i]!, visit)
  }

  /** Takes what has expired by this watermark from memory. At the end of the input nothing has: what goes on from there may be another input. */
  sweep(watermark: number): void {
    if (watermark === Number.POSITIVE_INFINITY) return
    this.state.keptSince[this.index] = watermark - this.keptMs
    if (this.epoch !== this.state.epoch) {
      this.epoch = this.state.epoch
      const settled = this.unsettled
      this.unsettled = []
      this.removeAll(settled, watermark)
    }
    if (watermark < this.nextSweep) return
    this.nextSweep = Number.POSITIVE_INFINITY
    for (const [at, keys] of this.due) {
      const through = (at + 1) * this.sweepMs
      if (through > watermark) {
        this.nextSweep = Math.min(this.nextSweep, through)
        continue
      }
      this.due.delete(at)
      this.removeAll(keys, watermark)
    }
  }

  private removeAll(keys: readonly KeyPart[], watermark: number): void {
    for (const key of keys) if (!this.removeExpired(key, watermark)) this.unsettled.push(key)
  }

  /** False: something was written since the last commit, so that the key has to stay for now. */
  private removeExpired(key: KeyPart, watermark: number): boolean {
    const entry = this.state.entries.get(key)
    if (entry === undefined) return true // it has left memory
    const slot = this.state.peek(entry, this.index)
    if (slot !== undefined) this.removeBefore(slot, watermark - this.keptMs)
    if (slot === undefined || slot.entries.size === 0) return this.state.forgetExpired(entry, this.index)
    return true
  }

  private removeBefore(slot: MapSlot, timestamp: number): void {
    // The order of a slot that is not complete would be made again when it is; and what the log says is deleted is in none.
    if (slot.order === undefined && (slot.entries.size < 2 || !slot.complete)) {
      slot.entries.forEach((_, at) => {
        if ((at as number) < timestamp) slot.entries.delete(at)
      })
      return
    }
    const { times, values } = this.orderOf(slot)
    let gone = 0
    while (gone < times.length && times[gone]! < timestamp) slot.entries.delete(times[gone++]!)
    if (gone === times.length) slot.order = undefined
    else if (gone > 0) {
      times.splice(0, gone)
      values.splice(0, gone)
    }
  }

  private orderOf(slot: MapSlot): NonNullable<MapSlot['order']> {
    if (slot.order !== undefined) return slot.order
    const times: number[] = []
    for (const [timestamp, stored] of slot.entries) {
      if (stored === DELETED) continue
      times.push(timestamp as number)
      this.lookAt(stored)
    }
    times.sort((a, b) => a - b)
    slot.order = { times, values: times.map(timestamp => slot.entries.get(timestamp)) }
    return slot.order
  }

  /** Values may come from the log or the base. */
  private lookAt(stored: Stored): void {
    if (!Array.isArray(stored)) this.look(stored)
    else for (const value of stored) this.look(value)
  }

  private look(value: unknown): void {
    if (this.copy === copyValue) return
    if (!isFlat(value)) this.copy = copyValue
    else if (this.fields === undefined) {
      this.fields = Object.keys(value)
      this.copy = literalOf(this.fields) ?? spread
    } else if (!hasFields(value, this.fields)) this.copy = spread
  }
}

/** These alone, in this order. */
function hasFields(value: object, fields: readonly string[]): boolean {
  let n = 0
  for (const name in value) if (name !== fields[n++]) return false
  return n === fields.length
}

function visitEach<T>(stored: Stored, timestamp: number, visit: (value: T, timestamp: number) => void): void {
  if (!Array.isArray(stored)) visit(stored as T, timestamp)
  else for (let i = 0; i < stored.length; i++) visit(stored[i], timestamp)
}

function single(value: unknown): Stored {
  return Array.isArray(value) || value === undefined ? [value] : value
}

function appended(stored: Stored, value: unknown): Stored {
  if (!Array.isArray(stored)) return [stored, value]
  stored.push(value)
  return stored
}

/** At the end, mostly. */
function insert(list: unknown[], at: number, element: unknown): void {
  if (at === list.length) list.push(element)
  else list.splice(at, 0, element)
}

/** The first index whose element is not below `timestamp`. */
function lowerBound(order: readonly number[], timestamp: number): number {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (order[middle]! < timestamp) low = middle + 1
    else high = middle
  }
  return low
}
