import type { KeyPart } from '../graph/key.ts'

/** An entry that was deleted since the base was written: absence that is known. */
export const DELETED: unique symbol = Symbol('deleted')

/** A value with the time it dies at (epoch ms, by the clock of its declaration's ttl). Only states with a ttl hold cells. */
export interface TtlCell {
  value: unknown
  expiry: number
}

/** The map state of one key, as far as it is in memory. */
export interface MapSlot {
  /** For who reads ranges of subkeys (TimeBuffer): those that are there, sorted; undefined: to be made. */
  order: number[] | undefined
  /** subkey → value, or DELETED where the base may still have one. Insertion order is the order of writing. */
  readonly entries: Map<KeyPart, unknown>
  /** Every entry that exists is in memory. */
  complete: boolean
  /** Written since the last commit; true: there was none as of that commit, for certain. */
  readonly dirty: Map<KeyPart, boolean>
}

/** All the state that one operator keeps for one key. */
export class KeyEntry {
  readonly key: KeyPart
  /** By index of the declaration: the value (undefined: none, DELETED never), or a MapSlot. */
  readonly values: any[]
  /** Bit i: state i is known, from memory or the base. All bits: the entry is loaded. */
  known: number
  /** Bit i: state i was written since the last commit. */
  dirty = 0
  /** Bit i, of the dirty ones: as of the last commit value state i had no value, for certain. */
  created = 0
  /** Version of the last commit that wrote something here; the base has it once the materialised marker is past it. */
  version = 0
  /** Epoch of the last use, for eviction. */
  touched = 0

  constructor(key: KeyPart, states: number) {
    this.key = key
    this.values = new Array(states).fill(undefined)
    this.known = 0
  }
}

export function newMapSlot(complete: boolean): MapSlot {
  return { order: undefined, entries: new Map(), complete, dirty: new Map() }
}
