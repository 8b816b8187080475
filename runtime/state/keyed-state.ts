import type { KeyPart } from '../graph/key.ts'
import type { StateDeclaration } from './declaration.ts'
import { DELETED, KeyEntry, MapSlot, type TtlCell } from './entry.ts'
import { asOfNow, tagOf } from './schema.ts'

/** Which of them are known, and which were written, is kept in the bits of a number. */
export const STATES_MAX = 30

/** Where state that is not in memory comes from. */
export interface StateLoader {
  /** Fills in what `entries` don't know: values, and whole maps of `load: 'all'` (never over what is known or DELETED already). */
  loadEntries(state: KeyedState, entries: readonly KeyEntry[]): Promise<void>
  /** Fills in map entries of one key. */
  loadMap(state: KeyedState, entry: KeyEntry, index: number, subkeys: readonly KeyPart[] | 'all'): Promise<void>
}

/**
 * The state of one operator in one subtask: what is in memory of it, and which of that was written since the last commit.
 * All writing goes through here, so that it reaches the log.
 */
export class KeyedState {
  readonly declarations: readonly StateDeclaration[]
  /** Undefined while everything that exists is in memory: then a key that is not there does not exist. */
  loader: StateLoader | undefined
  /** What lies behind the log; undefined: nothing was ever written there. */
  base: StateLoader | undefined
  /** The last commit after which a key without state was forgotten: until the base is as new, only memory knows that it has none. */
  private forgotten = 0
  /** Advanced by the stage with each commit; entries remember their last one. */
  epoch = 0
  /** What is written goes to the log. False: nobody would read it (`KeyedOperator.leaveUnlogged`). */
  logs = true
  /** Written since the last commit; without a log: emptied, to be forgotten behind it. */
  dirty: KeyEntry[] = []
  readonly entries = new Map<KeyPart, KeyEntry>()
  /** By index, of maps with `keptMs`: nobody asks for entries whose subkey is below this any more, so that a load leaves them where they are. */
  readonly keptSince: (number | undefined)[] = []
  private readonly allKnown: number
  private readonly operatorId: string | undefined
  private wanted: { entry: KeyEntry; state: number; subkeys: KeyPart[] | 'all' }[] = []

  /** `operatorId`: whose it is. Without it values are shown as they were written, whatever their version. */
  constructor(declarations: readonly StateDeclaration[], operatorId?: string) {
    this.operatorId = operatorId
    if (declarations.length > STATES_MAX) throw new Error(`an operator can declare at most ${STATES_MAX} states`)
    this.declarations = declarations
    this.allKnown = (1 << declarations.length) - 1
  }

  /** The entry of a key, if all that is known of it is in memory (a key that exists nowhere gets a new one); undefined: load it first. */
  lookup(key: KeyPart): KeyEntry | undefined {
    let entry = this.entries.get(key)
    if (entry === undefined) {
      if (this.loader !== undefined) return undefined
      entry = new KeyEntry(key, this.declarations.length)
      entry.known = this.allKnown
      this.entries.set(key, entry)
    } else if (entry.known !== this.allKnown) {
      if (this.loader !== undefined) return undefined
      this.completeFromNothing(entry)
    }
    entry.touched = this.epoch
    return entry
  }

  /** Forgets the key if it has no state (any more), which can only be done while memory is complete. Its last change is of `version`. */
  forgetEmpty(entry: KeyEntry, version: number): void {
    for (let i = 0; i < this.declarations.length; i++) {
      const value = entry.values[i]
      if (value === undefined) continue
      if (this.declarations[i]!.primitive === 'value' || (value as MapSlot).entries.size > 0) return
    }
    this.entries.delete(entry.key)
    if (version > this.forgotten) this.forgotten = version
  }

  /**
   * Of a map state of this key everything has expired, which its operator has taken from memory (`keptMs`). If nothing else is left of the key, it is forgotten: who reads it from the base finds
   * what nobody looks for. False: not as long as it has changes that wait for a commit.
   */
  forgetExpired(entry: KeyEntry, index: number): boolean {
    if (entry.dirty !== 0) return false
    entry.values[index] = undefined
    if (entry.values.every(value => value === undefined)) this.entries.delete(entry.key)
    return true
  }

  /** The base holds the state up to `version`: keys that have none by then need not be remembered. */
  settled(version: number): void {
    if (this.loader !== undefined) return
    for (const entry of this.entries.values()) {
      if (entry.dirty === 0 && entry.version <= version) this.forgetEmpty(entry, entry.version)
    }
  }

  /** From now on entries may leave memory. False: not yet, the base (as of `marker`) is older than what memory knows. */
  mayEvict(marker: number): boolean {
    if (this.loader === undefined && marker >= this.forgotten) this.loader = this.base
    return this.loader !== undefined
  }

  resident(due: readonly { key: KeyPart }[]): boolean {
    if (this.loader === undefined) return true
    return due.every(d => this.entries.get(d.key)?.known === this.allKnown)
  }

  /** Brings the state of these keys into memory, and what `want` asked for. */
  async load(keys: readonly KeyPart[]): Promise<void> {
    const wanted = this.wanted
    this.wanted = []
    if (this.loader === undefined) return
    const missing = new Set<KeyEntry>()
    for (const key of keys) {
      let entry = this.entries.get(key)
      if (entry === undefined) {
        entry = new KeyEntry(key, this.declarations.length)
        this.entries.set(key, entry)
      }
      entry.touched = this.epoch
      if (entry.known !== this.allKnown) missing.add(entry)
    }
    if (missing.size > 0) await this.loader.loadEntries(this, [...missing])
    for (const entry of missing) entry.known = this.allKnown
    for (const w of wanted) await this.loader.loadMap(this, w.entry, w.state, w.subkeys)
  }

  /** Asks for map entries that are not in memory; the next `load` brings them. */
  want(entry: KeyEntry, state: number, subkeys: readonly KeyPart[] | 'all'): void {
    this.wanted.push({ entry, state, subkeys: subkeys === 'all' ? 'all' : [...subkeys] })
  }

  /**
   * A stored value, of a value state or of a map's subkey, as the code knows it now. What has been changed for that counts as written: the next commit has it as it is.
   * @throws StateVersionError
   */
  asOfNow(entry: KeyEntry, index: number, tag: string | undefined, stored: unknown, subkey?: KeyPart): unknown {
    const { schema, name } = this.declarations[index]!
    if ((tag === undefined && schema === undefined) || this.operatorId === undefined) return stored
    const value = asOfNow(schema, tag, stored, { operatorId: this.operatorId, state: name, key: entry.key })
    if (value === stored && tag === tagOf(schema)) return stored
    if (subkey !== undefined) {
      const { dirty } = this.slot(entry, index)
      if (!dirty.has(subkey)) dirty.set(subkey, false)
    }
    this.mark(entry, index)
    return value
  }

  // ---- value states -------------------------------------------------------------------------------------------------

  /** The value, undefined when there is none. `now` by the clock of the declaration's ttl (ignored without one). */
  value(entry: KeyEntry, index: number, now: number): any {
    const ttl = this.declarations[index]!.ttl
    const stored = entry.values[index]
    if (ttl === undefined || stored === undefined) return stored
    const cell = stored as TtlCell
    if (cell.expiry <= now) {
      this.setValue(entry, index, undefined, now)
      return undefined
    }
    if (ttl.refresh === 'read') this.setValue(entry, index, cell.value, now)
    return cell.value
  }

  /** Sets the value (undefined: clears it). Also to be called after changing a value in place. */
  setValue(entry: KeyEntry, index: number, value: unknown, now: number): void {
    const ttl = this.declarations[index]!.ttl
    if (entry.values[index] === undefined && ((entry.dirty >> index) & 1) === 0) entry.created |= 1 << index
    entry.values[index] = ttl === undefined || value === undefined ? value : ({ value, expiry: now + ttl.ms } satisfies TtlCell)
    if (this.logs) this.mark(entry, index)
    else if (value === undefined) this.dirty.push(entry)
  }

  // ---- map states ---------------------------------------------------------------------------------------------------

  /** The slot of a map state: for reading its entries where it is complete. */
  slot(entry: KeyEntry, index: number): MapSlot {
    return (entry.values[index] ??= new MapSlot(this.loader === undefined || this.declarations[index]!.load === 'all'))
  }

  /** The slot, where there is one: else there are no entries, or none is known. */
  peek(entry: KeyEntry, index: number): MapSlot | undefined {
    return entry.values[index]
  }

  /** False: the entry may exist but is not in memory; `want` it. */
  knows(entry: KeyEntry, index: number, subkey: KeyPart): boolean {
    const slot = this.slot(entry, index)
    return slot.complete || slot.entries.has(subkey)
  }

  /** One entry, undefined when there is none. Only for entries that `knows`. */
  mapGet(entry: KeyEntry, index: number, subkey: KeyPart, now: number): any {
    const stored = this.slot(entry, index).entries.get(subkey)
    if (stored === undefined || stored === DELETED) return undefined
    const ttl = this.declarations[index]!.ttl
    if (ttl === undefined) return stored
    const cell = stored as TtlCell
    if (cell.expiry <= now) {
      this.mapDelete(entry, index, subkey)
      return undefined
    }
    if (ttl.refresh === 'read') this.mapSet(entry, index, subkey, cell.value, now)
    return cell.value
  }

  mapSet(entry: KeyEntry, index: number, subkey: KeyPart, value: unknown, now: number): void {
    const ttl = this.declarations[index]!.ttl
    const slot = this.slot(entry, index)
    const cell = ttl === undefined ? value : ({ value, expiry: now + ttl.ms } satisfies TtlCell)
    // Often it was changed in place.
    if (!this.logs || touch(slot, subkey) !== cell) slot.entries.set(subkey, cell)
    if (this.logs) this.mark(entry, index)
  }

  /** Deletes one entry, known or not. */
  mapDelete(entry: KeyEntry, index: number, subkey: KeyPart): void {
    const slot = this.slot(entry, index)
    if (slot.complete && !slot.entries.has(subkey)) return
    if (!this.logs) {
      slot.entries.delete(subkey)
      if (slot.entries.size === 0) this.dirty.push(entry)
      return
    }
    touch(slot, subkey)
    slot.deletions = true
    slot.entries.set(subkey, DELETED)
    this.mark(entry, index)
  }

  /** Live entries in order of writing; only for complete slots (`slot(...).complete`). */
  *mapEntries(entry: KeyEntry, index: number, now: number): Generator<[KeyPart, any]> {
    const ttl = this.declarations[index]!.ttl
    for (const [subkey, stored] of this.slot(entry, index).entries) {
      if (stored === DELETED) continue
      if (ttl === undefined) yield [subkey, stored]
      else if ((stored as TtlCell).expiry > now) yield [subkey, (stored as TtlCell).value]
    }
  }

  /** Right behind a commit, where nothing was logged so far: the next one logs all that there is, and those behind it what has changed. */
  logAll(): void {
    this.logs = true
    for (const entry of this.entries.values()) {
      for (let i = 0; i < this.declarations.length; i++) {
        const value = entry.values[i]
        if (value === undefined) continue
        if (this.declarations[i]!.primitive === 'value') entry.created |= 1 << i
        else {
          const { entries, dirty }: MapSlot = value
          entries.forEach((_, subkey) => {
            dirty.set(subkey, true)
          })
        }
        this.mark(entry, i)
      }
    }
  }

  private mark(entry: KeyEntry, index: number): void {
    if (entry.dirty === 0) this.dirty.push(entry)
    entry.dirty |= 1 << index
  }

  /** Memory is complete: what is not known does not exist. */
  private completeFromNothing(entry: KeyEntry): void {
    for (let i = 0; i < this.declarations.length; i++) {
      if (this.declarations[i]!.primitive === 'map' && entry.values[i] !== undefined) (entry.values[i] as MapSlot).complete = true
    }
    entry.known = this.allKnown
  }
}

/** Before a write of a map entry. Gives what is there. */
function touch({ entries, dirty, complete }: MapSlot, subkey: KeyPart): unknown {
  const stored = entries.get(subkey)
  // What is dirty is there, deleted perhaps.
  if (stored === undefined) dirty.set(subkey, complete)
  else if (!dirty.has(subkey)) dirty.set(subkey, stored === DELETED)
  return stored
}
