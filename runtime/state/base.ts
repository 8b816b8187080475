import { MillraceError } from '../errors.ts'
import type { KeyPart } from '../graph/key.ts'
import type { Address, BaseItem, KeyedStore } from '../ports.ts'
import { entryPk, fromSortable, mapAddress, mapPrefix, type StateSpace, sortable, timersPk, valueAddress } from './address.ts'
import { tagIn, unpack } from './codec.ts'
import { DELETED, type KeyEntry, MapSlot } from './entry.ts'
import type { KeyedState, StateLoader } from './keyed-state.ts'
import type { Timers } from './timers.ts'

/** The base is ahead of the reader's view of the log: the view is stale, start over (protocol.md, E2). */
export class StaleViewError extends MillraceError {
  override readonly name = 'StaleViewError'
  override readonly retryable = true
}

/** What lies behind the log, for reading. A range is in one order always, though not in that of the port everywhere. */
export type BaseReads = Pick<KeyedStore, 'batchGet' | 'range'>

/** Maps with no more entries than this are loaded whole with their key, so that only large ones are read entry by entry. */
const SMALL_MAP = 32
const PAGE = 1000
/** Behind every subkey: '|' is followed by 's' or 'n'. */
export const AFTER_ALL = '~'

/** Reads the state of one operator from the base. `version` gives the reader's own head. */
export class BaseLoader implements StateLoader {
  private readonly store: BaseReads
  private readonly space: StateSpace
  private readonly version: () => number

  constructor(store: BaseReads, space: StateSpace, version: () => number) {
    this.store = store
    this.space = space
    this.version = version
  }

  async loadEntries(state: KeyedState, entries: readonly KeyEntry[]): Promise<void> {
    await Promise.all([this.loadValues(state, entries), this.loadMaps(state, entries)])
  }

  async loadMap(state: KeyedState, entry: KeyEntry, index: number, subkeys: readonly KeyPart[] | 'all'): Promise<void> {
    const declaration = state.declarations[index]!
    const slot: MapSlot = (entry.values[index] ??= new MapSlot(false))
    if (subkeys === 'all') {
      await this.readMap(state, index, entry, slot, Number.POSITIVE_INFINITY)
      return
    }
    const items = await this.store.batchGet(subkeys.map(s => mapAddress(this.space, entry.key, declaration, s)))
    items.forEach((item, i) => {
      if (!slot.entries.has(subkeys[i]!))
        slot.entries.set(subkeys[i]!, this.decode(item, state, entry, index, subkeys[i]) ?? DELETED)
    })
  }

  private async loadValues(state: KeyedState, entries: readonly KeyEntry[]): Promise<void> {
    const addresses: Address[] = []
    const targets: { entry: KeyEntry; index: number }[] = []
    state.declarations.forEach((declaration, index) => {
      if (declaration.primitive !== 'value') return
      for (const entry of entries) {
        if ((entry.known >> index) & 1) continue
        addresses.push(valueAddress(this.space, entry.key, declaration))
        targets.push({ entry, index })
      }
    })
    if (addresses.length === 0) return
    const items = await this.store.batchGet(addresses)
    items.forEach((item, i) => {
      const { entry, index } = targets[i]!
      entry.values[index] = this.decode(item, state, entry, index)
    })
  }

  private async loadMaps(state: KeyedState, entries: readonly KeyEntry[]): Promise<void> {
    const reads: Promise<void>[] = []
    state.declarations.forEach((declaration, index) => {
      if (declaration.primitive !== 'map') return
      const limit = declaration.load === 'all' ? Number.POSITIVE_INFINITY : SMALL_MAP
      for (const entry of entries) {
        const slot: MapSlot = (entry.values[index] ??= new MapSlot(false))
        if (!slot.complete) reads.push(this.readMap(state, index, entry, slot, limit))
      }
    })
    await Promise.all(reads)
  }

  /** Adds the entries that memory does not know, but for those that nobody asks for any more; the slot is complete if there are no more than `limit`. */
  private async readMap(state: KeyedState, index: number, entry: KeyEntry, slot: MapSlot, limit: number): Promise<void> {
    const pk = entryPk(this.space, entry.key)
    const prefix = mapPrefix(state.declarations[index]!)
    const read: BaseItem[] = []
    const since = state.keptSince[index]
    let from = since === undefined ? prefix : `${prefix}${sortable(since)}`
    for (;;) {
      const items = await this.store.range(pk, from, prefix + AFTER_ALL, Math.min(PAGE, limit + 1))
      for (const item of items) this.check(item)
      read.push(...items)
      if (read.length > limit) return
      if (items.length < Math.min(PAGE, limit + 1)) break
      from = `${items.at(-1)!.sk}\u0000`
    }
    for (const item of read) {
      const subkey = fromSortable(item.sk.slice(prefix.length))
      if (slot.entries.has(subkey)) continue
      const value = this.decode(item, state, entry, index, subkey)
      if (value !== undefined) slot.entries.set(subkey, value)
    }
    // One that was made of what the log had is not of this (TimeBuffer).
    slot.order = undefined
    slot.complete = true
  }

  private check({ v }: BaseItem): void {
    if (v > this.version())
      throw new StaleViewError(`state of ${this.space.operatorId} is at version ${v}, the view of the log at ${this.version()}`)
  }

  private decode(item: BaseItem | undefined, state: KeyedState, entry: KeyEntry, index: number, subkey?: KeyPart): unknown {
    if (item === undefined) return undefined
    this.check(item)
    if (item.value === undefined) return undefined
    const value = state.asOfNow(entry, index, tagIn(item.value), unpack(item.value), subkey)
    return state.declarations[index]!.ttl === undefined ? value : { value, expiry: item.expiry! }
  }
}

/** All timers of one key group, into the operator's timers. */
export async function loadTimers(
  store: BaseReads,
  space: StateSpace,
  group: number,
  version: number,
  timers: { event: Timers; processing: Timers },
): Promise<void> {
  let from = ''
  for (;;) {
    const items = await store.range(timersPk(space, group), from, AFTER_ALL, PAGE)
    for (const item of items) {
      if (item.v > version)
        throw new StaleViewError(`timers of ${space.operatorId} are at version ${item.v}, the view of the log at ${version}`)
      if (item.value === undefined) continue
      const [at, key, tag] = unpack<[number, KeyPart, KeyPart]>(item.value)
      timers[item.sk[0] === 'e' ? 'event' : 'processing'].restore(true, at, key, tag)
    }
    if (items.length < PAGE) return
    from = `${items.at(-1)!.sk}\u0000`
  }
}
