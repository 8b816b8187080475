import { type Key, type KeyPart, userKey } from '../graph/key.ts'
import { SmallMap } from './small-map.ts'

/** An entry that was deleted since the base was written: absence that is known. */
export const DELETED: unique symbol = Symbol('deleted')

/** A value with the time it dies at (epoch ms, by the clock of its declaration's ttl). Only states with a ttl hold cells. */
export interface TtlCell {
  value: unknown
  expiry: number
}

/** The map state of one key, as far as it is in memory. It is the map of its entries itself: one object less for each key. */
export class MapSlot extends SmallMap<unknown> {
  /** For who reads ranges of subkeys (TimeBuffer): those that are there, sorted, and what is stored under each; undefined: to be made. */
  order: { readonly times: number[]; readonly values: unknown[] } | undefined
  /** The last of TimeBuffer's times of sweeping that the key waits for. */
  due: number | undefined
  /** Every entry that exists is in memory. */
  complete: boolean
  /** The subkeys that were written since the last commit, in order of writing; each with whether there was none of it as of that commit, for certain. */
  readonly dirty = new SmallMap<boolean>()
  /** Some of those may have been deleted. */
  deletions = false

  constructor(complete: boolean) {
    super()
    this.complete = complete
  }

  /** subkey → value, or DELETED where the base may still have one. Insertion order is the order of writing. */
  get entries(): SmallMap<unknown> {
    return this
  }
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
  private tuple: readonly KeyPart[] | undefined

  constructor(key: KeyPart, states: number) {
    this.key = key
    this.values = new Array(states).fill(undefined)
    this.known = 0
  }

  /** The key as the user gave it, an object of its own each time. A tuple is parsed once only: windows ask for it whenever they fire. */
  get userKey(): Key {
    if (this.tuple !== undefined) return this.tuple.slice()
    const key = userKey(this.key)
    if (typeof key !== 'object') return key
    this.tuple = key
    return key.slice()
  }
}
