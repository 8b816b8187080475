import type { KeyPart } from '../graph/key.ts'
import { copyValue } from './copy.ts'
import { DELETED, type KeyEntry, type MapSlot, type TtlCell } from './entry.ts'
import { type Guard, StateMiss } from './guard.ts'
import type { KeyedState } from './keyed-state.ts'

/** A map state whose entries may be missing from memory; `bounds`: the state with the bounds if it is a list. */
export interface LazyMap {
  readonly index: number
  readonly bounds: number | undefined
}

/**
 * What the handles of one operator work on: the entry of the current key, at the time of the current record or timer. The user sees copies; with a guard,
 * every write can be undone.
 *
 * Event-time TTL counts by the timestamp of the record or timer that is being processed, not by the watermark: the results then depend
 * on the records of the key alone, not on what other keys or subtasks have seen. (A late record may thus still find an
 * entry that the watermark has passed, as long as that was not swept from the base.)
 */
export class StateAccess {
  entry!: KeyEntry
  /** Timestamp of the current record or timer. */
  eventTime = 0
  guard: Guard | undefined
  readonly state: KeyedState
  private readonly processingTime: () => number
  private readonly lazy: readonly LazyMap[]

  constructor(state: KeyedState, processingTime: () => number, lazy: readonly LazyMap[]) {
    this.state = state
    this.processingTime = processingTime
    this.lazy = lazy
  }

  /** Some map entries of the current key may be missing from memory. */
  incomplete(): boolean {
    if (this.state.loader === undefined) return false
    for (let i = 0; i < this.lazy.length; i++) {
      const { index, bounds } = this.lazy[i]!
      const slot = this.state.slot(this.entry, index)
      if (slot.complete) continue
      if (bounds === undefined || this.entry.values[bounds] !== undefined) return true
      slot.complete = true // a list without bounds has no elements anywhere
    }
    return false
  }

  /** By the clock of the declaration. */
  now(index: number): number {
    const ttl = this.state.declarations[index]!.ttl
    return ttl === undefined ? 0 : ttl.time === 'event' ? this.eventTime : this.processingTime()
  }

  // ---- values -------------------------------------------------------------------------------------------------------

  /** For errors. */
  nameOf(index: number): string {
    return this.state.declarations[index]!.name
  }

  /** For the user: a copy, so that what is changed in place and not written is lost at once, and not only when the key next leaves memory. */
  get(index: number): any {
    return copyValue(this.state.value(this.entry, index, this.now(index)))
  }

  /** The state's own object, for functions that give back what is then written. */
  read(index: number): any {
    const value = this.state.value(this.entry, index, this.now(index))
    if (this.guard?.mustCopy(value) !== true) return value
    const { entry, guard } = this
    const stored = entry.values[index]
    const copy = copyValue(value)
    entry.values[index] = value === stored ? copy : ({ value: copy, expiry: stored.expiry } satisfies TtlCell)
    guard.own(copy)
    guard.onUndo(() => {
      entry.values[index] = stored
    })
    return copy
  }

  write(index: number, value: unknown, now = this.now(index)): void {
    const { entry, guard } = this
    if (guard !== undefined) {
      const stored = entry.values[index]
      guard.own(value)
      guard.onUndo(() => {
        entry.values[index] = stored
      })
    }
    this.state.setValue(entry, index, value, now)
  }

  // ---- map entries --------------------------------------------------------------------------------------------------

  /** Ends the invocation with a miss unless this entry is in memory. */
  require(index: number, subkey: KeyPart): void {
    if (!this.state.knows(this.entry, index, subkey)) this.miss(index, [subkey])
  }

  requireAll(index: number): void {
    if (!this.state.slot(this.entry, index).complete) this.miss(index, 'all')
  }

  miss(index: number, subkeys: readonly KeyPart[] | 'all'): never {
    const miss = new StateMiss(this.state.declarations[index]!.name, index, subkeys)
    this.guard?.misses.push(miss)
    throw miss
  }

  /** Of an entry that is in memory; for the user: a copy. */
  getEntry(index: number, subkey: KeyPart): any {
    return copyValue(this.state.mapGet(this.entry, index, subkey, this.now(index)))
  }

  hasEntry(index: number, subkey: KeyPart): boolean {
    return this.state.mapGet(this.entry, index, subkey, this.now(index)) !== undefined
  }

  writeEntry(index: number, subkey: KeyPart, value: unknown): void {
    this.rememberEntry(index, subkey)
    this.state.mapSet(this.entry, index, subkey, value, this.now(index))
  }

  deleteEntry(index: number, subkey: KeyPart): void {
    this.rememberEntry(index, subkey)
    this.state.mapDelete(this.entry, index, subkey)
  }

  /** All of the slot is in memory; what an undone invocation deleted blindly is unknown again. */
  complete(slot: MapSlot): void {
    slot.complete = true
    this.guard?.onUndo(() => {
      slot.complete = false
    })
  }

  /** Subkeys that may be alive, of those in memory. */
  *subkeys(index: number): Generator<KeyPart> {
    for (const [subkey, stored] of this.state.slot(this.entry, index).entries) {
      if (stored !== undefined && stored !== DELETED) yield subkey
    }
  }

  private rememberEntry(index: number, subkey: KeyPart): void {
    if (this.guard === undefined) return
    const { entries, dirty } = this.state.slot(this.entry, index)
    const known = entries.has(subkey)
    const stored = entries.get(subkey)
    const wasDirty = dirty.has(subkey)
    this.guard.onUndo(() => {
      if (known) entries.set(subkey, stored)
      else entries.delete(subkey)
      // An entry that is unknown again must not go to the log: it would read as a deletion.
      if (!wasDirty) dirty.delete(subkey)
    })
  }
}
