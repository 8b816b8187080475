import type { KeyPart } from '../graph/key.ts'
import { type Change, forEachChange } from '../state/changelog.ts'
import { SmallMap } from '../state/small-map.ts'
import type { FoldSpace } from './fold.ts'

export type Domain = 'event' | 'processing'

/** The last change of one entry. The item that it comes to is made when it is handed over: most are overwritten or deleted before. */
export interface Held {
  value: unknown
  tag: string | undefined
  written: boolean
  /** There was none before. */
  readonly created: boolean
  /** 0: never. */
  expiry: number
  v: number
  /** Of its chunk, about. */
  bytes: number
}

/** All that is held of a key: its states, of which a map is by subkey; behind them its timers of event time, then of processing time, by time and by tag. One array, as there may be very many. */
export type HeldKey = (Held | SmallMap<Held> | HeldTimers | undefined)[]
export type HeldTimers = SmallMap<SmallMap<Held>>

/** By operator, as chunks number them. */
export type HeldKeys = readonly ReadonlyMap<KeyPart, HeldKey>[]

/** The last change of each entry, in memory, as small as it can be. `elide`: entries that were made and deleted again leave nothing. */
export class HeldChanges {
  /** Entries. */
  size = 0
  /** Of the chunks that they were in, about. */
  bytes = 0
  private readonly space: FoldSpace
  private readonly elide: boolean
  /** By operator. */
  private keys: readonly Map<KeyPart, HeldKey>[]

  constructor(space: FoldSpace, elide: boolean) {
    this.space = space
    this.elide = elide
    this.keys = space.operators.map(() => new Map())
  }

  /** `v`: the version of its newest commit. */
  add(chunk: Uint8Array, v: number): void {
    forEachChange(chunk, change => {
      const { operator, state, key, value, timestamp } = change
      const { states } = this.space.operators[operator]!
      const keys = this.keys[operator]!
      let held = keys.get(key)
      if (held === undefined) {
        held = new Array(states.length + 2).fill(undefined)
        keys.set(key, held)
      }
      if (typeof state === 'string') this.addTimer(held, timersAt(states, state), change, v)
      else if (states[state]!.primitive === 'map') this.addEntry(held, state, change, v)
      else held[state] = this.next(held[state] as Held | undefined, change, value, timestamp, v)
      if (!change.written && held.every(h => h === undefined)) keys.delete(key)
    })
  }

  private addEntry(held: HeldKey, state: number, c: Change, v: number): void {
    const entries = (held[state] ??= new SmallMap<Held>()) as SmallMap<Held>
    this.addTo(entries, c.value.k, c, c.value.v, c.timestamp, v)
    if (entries.size === 0) held[state] = undefined
  }

  private addTimer(held: HeldKey, at: number, c: Change, v: number): void {
    const times = (held[at] ??= new SmallMap<SmallMap<Held>>()) as HeldTimers
    let tags = times.get(c.timestamp)
    if (tags === undefined) {
      tags = new SmallMap()
      times.set(c.timestamp, tags)
    }
    this.addTo(tags, c.value, c, undefined, 0, v)
    if (tags.size > 0) return
    times.delete(c.timestamp)
    if (times.size === 0) held[at] = undefined
  }

  private addTo(to: SmallMap<Held>, key: KeyPart, c: Change, value: unknown, expiry: number, v: number): void {
    const known = to.get(key)
    const next = this.next(known, c, value, expiry, v)
    if (next === undefined) to.delete(key)
    else if (known === undefined) to.set(key, next)
  }

  /** What is to be held of an entry after this change; undefined: nothing. */
  private next(known: Held | undefined, c: Change, value: unknown, expiry: number, v: number): Held | undefined {
    const { written, tag, bytes } = c
    if (this.elide && !written && (known === undefined ? c.created : known.created)) {
      if (known !== undefined) {
        this.size--
        this.bytes -= known.bytes
      }
      return undefined
    }
    this.bytes += bytes - (known?.bytes ?? 0)
    if (known === undefined) {
      this.size++
      return { value, tag, written, created: c.created, expiry, v, bytes }
    }
    known.value = value
    known.tag = tag
    known.written = written
    known.expiry = expiry
    known.v = v
    known.bytes = bytes
    return known
  }

  /** All that is held, by operator. It is empty then. */
  take(): HeldKeys {
    const { keys } = this
    this.keys = this.space.operators.map(() => new Map())
    this.size = 0
    this.bytes = 0
    return keys
  }
}

/** Where the timers of a key are, behind its states. */
export function timersAt(states: readonly unknown[], domain: Domain): number {
  return domain === 'event' ? states.length : states.length + 1
}
