import assert from 'node:assert/strict'
import type { KeyPart } from '../../runtime/graph/key.ts'
import { DELETED, type KeyEntry, MapSlot } from '../../runtime/state/entry.ts'
import type { KeyedState, StateLoader } from '../../runtime/state/keyed-state.ts'

interface Stored {
  values: any[]
}

/** State behind the log, for tests: what was written is moved here at a commit, copied as by serialising, and loaded back when asked for. */
export class ColdBase implements StateLoader {
  /** Reads of single map entries or whole maps. */
  mapLoads = 0
  private readonly stored = new Map<KeyPart, Stored>()

  /** Takes over what was written since the last commit; forgets the keys for which `evict` says so. */
  commit(state: KeyedState, evict: (key: KeyPart) => boolean): void {
    for (const entry of state.dirty) this.write(state, entry)
    state.dirty = []
    state.epoch++
    for (const key of [...state.entries.keys()]) {
      if (!evict(key)) continue
      state.entries.delete(key)
      state.loader = this
    }
  }

  async loadEntries(state: KeyedState, entries: readonly KeyEntry[]): Promise<void> {
    await Promise.resolve()
    for (const entry of entries) {
      const stored = this.stored.get(entry.key)?.values
      state.declarations.forEach((declaration, i) => {
        if (declaration.primitive === 'value') entry.values[i] = structuredClone(stored?.[i])
        else entry.values[i] = new MapSlot(false)
        if (declaration.load === 'all') this.fill(entry, i, 'all')
      })
    }
  }

  async loadMap(_state: KeyedState, entry: KeyEntry, index: number, subkeys: readonly KeyPart[] | 'all'): Promise<void> {
    this.mapLoads++
    await Promise.resolve()
    this.fill(entry, index, subkeys)
  }

  /** Number of things kept, to see that state is bounded. */
  get size(): number {
    let size = 0
    for (const { values } of this.stored.values()) {
      for (const value of values) size += value instanceof Map ? value.size : value === undefined ? 0 : 1
    }
    return size
  }

  private fill(entry: KeyEntry, index: number, subkeys: readonly KeyPart[] | 'all'): void {
    const slot: MapSlot = entry.values[index]
    const stored: Map<KeyPart, unknown> = this.stored.get(entry.key)?.values[index] ?? new Map()
    // In an order of its own: nothing may depend on the order of writing.
    for (const subkey of subkeys === 'all' ? [...stored.keys()].sort().reverse() : subkeys) {
      if (slot.entries.has(subkey)) continue
      slot.entries.set(subkey, stored.has(subkey) ? structuredClone(stored.get(subkey)) : DELETED)
    }
    if (subkeys === 'all') slot.complete = true
  }

  private write(state: KeyedState, entry: KeyEntry): void {
    let stored = this.stored.get(entry.key)
    if (stored === undefined) {
      stored = { values: [] }
      this.stored.set(entry.key, stored)
    }
    for (let i = 0; i < state.declarations.length; i++) {
      if (((entry.dirty >> i) & 1) === 0) continue
      if (state.declarations[i]!.primitive === 'value') stored.values[i] = structuredClone(entry.values[i])
      else {
        stored.values[i] ??= new Map()
        this.writeMap(entry.values[i], stored.values[i])
      }
    }
    entry.dirty = 0
    entry.created = 0
  }

  private writeMap(slot: MapSlot, stored: Map<KeyPart, unknown>): void {
    slot.dirty.forEach((_: boolean, subkey: KeyPart) => {
      const value = slot.entries.get(subkey)
      assert.notEqual(value, undefined, `entry ${subkey} was written but is not known`)
      if (value === DELETED) {
        stored.delete(subkey)
        if (slot.complete) slot.entries.delete(subkey)
      } else stored.set(subkey, structuredClone(value))
    })
    slot.dirty.clear()
  }
}
