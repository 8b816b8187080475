import type { KeyPart } from '../graph/key.ts'
import type { KeyedOperator } from '../operators/keyed-operator.ts'
import { BROADCAST_KEY } from './broadcast.ts'
import type { StateDeclaration } from './declaration.ts'
import type { KeyEntry, MapSlot } from './entry.ts'
import type { KeyedState } from './keyed-state.ts'

/** Rough bytes of V8 heap that an entry, a map entry and a key's own string take beside the value. */
const ENTRY_BYTES = 200
export const SUBENTRY_BYTES = 80
/** A map slot with its Map and Set, before the first entry. */
const SLOT_BYTES = 350
const TIMER_BYTES = 100
const ENTRIES_SHARE_MIN = 0.25
/** Evicting goes on until this share of the budget is in use, so that it does not run again at once. */
const TARGET = 0.7
/** Entries looked at each time that the size of all is estimated: fewer where they are large, as that takes time. */
const SAMPLE = 64
const SAMPLE_BYTES = 1 << 20

/** About how many bytes the keyed state of these operators takes in memory, without timers: a sample of the entries, scaled up. */
export function estimateBytes(operators: readonly KeyedOperator[]): number {
  return operators.reduce((sum, o) => sum + o.state.entries.size * sampleBytes(o), 0)
}

/** Timers are always in memory: they leave less to entries, but not nothing. */
function budgetOfEntries(operators: readonly KeyedOperator[], budget: number): number {
  const timers = operators.reduce((sum, o) => sum + (o.eventTimers.size + o.processingTimers.size) * TIMER_BYTES, 0)
  return Math.max(budget * ENTRIES_SHARE_MIN, budget - timers)
}

/** A walk over the entries, over and over, and what one of them took on average in the last round. (Less than a round would be no fair sample: the first to come are often the largest, by far.) */
interface Walk {
  next: Iterator<KeyEntry>
  average: number
  looked: number
}

const walks = new WeakMap<KeyedState, Walk>()

function sampleBytes(operator: KeyedOperator): number {
  const { state } = operator
  const { entries } = state
  if (entries.size === 0) return 0
  const walk = walks.get(state) ?? { next: entries.values(), average: 0, looked: 0 }
  walks.set(state, walk)
  let bytes = 0
  let n = 0
  for (const most = Math.min(SAMPLE, entries.size); n < most && bytes < SAMPLE_BYTES; n++) {
    let item = walk.next.next()
    if (item.done) {
      walk.next = entries.values()
      item = walk.next.next()
    }
    bytes += entryBytes(item.value, state.declarations)
  }
  walk.looked = Math.min(walk.looked, entries.size - n) + n
  walk.average += (bytes / n - walk.average) * (n / walk.looked)
  return walk.average
}

/** The same of one entry. */
export function entryBytes(entry: KeyEntry, declarations: readonly StateDeclaration[]): number {
  let bytes = ENTRY_BYTES
  declarations.forEach((d, i) => {
    const value = entry.values[i]
    if (value === undefined) return
    if (d.primitive === 'value') bytes += valueBytes(value, 3)
    else {
      bytes += SLOT_BYTES
      ;(value as MapSlot).entries.forEach(v => {
        bytes += SUBENTRY_BYTES + valueBytes(v, 2)
      })
    }
  })
  return bytes
}

/** About how many bytes a value takes in memory; what lies deeper than `depth` is guessed. */
export function valueBytes(value: unknown, depth: number): number {
  if (typeof value === 'string') return 16 + value.length
  if (typeof value !== 'object' || value === null) return 8
  if (ArrayBuffer.isView(value)) return 100 + value.byteLength
  if (depth === 0) return 200
  let bytes = 40
  for (const v of value instanceof Map ? value.values() : Object.values(value)) bytes += 8 + valueBytes(v, depth - 1)
  return bytes
}

/** Where evicting of one operator's entries goes on: looking at all of them with each commit would cost the square of their number. */
interface Hand {
  next: Iterator<[KeyPart, KeyEntry]>
  /** Entries there were, and the marker, when it stopped. */
  size: number
  marker: number
}

const hands = new WeakMap<KeyedState, Hand>()
/** Entries looked at for each that came since the last time. */
const LOOKS = 4
const LOOKS_MIN = 256

/**
 * Drops entries that the base has (their last version is at or below the marker) and that were not used since the last commit, until
 * they are well below `memory`. Entries that only the log has stay: a checkpoint has to materialise them first. After one, all entries are looked at;
 * between two, about as many as were added.
 */
export function evict(operators: readonly KeyedOperator[], marker: number, memory: number): void {
  const budget = budgetOfEntries(operators, memory)
  let bytes = estimateBytes(operators)
  if (bytes <= budget) return
  for (const operator of operators) {
    const { state } = operator
    if (!state.mayEvict(marker)) continue
    const { entries } = state
    const each = sampleBytes(operator)
    const hand = hands.get(state) ?? { next: entries.entries(), size: 0, marker: -1 }
    hands.set(state, hand)
    const growth = Math.max(0, entries.size - hand.size)
    let looks = hand.marker === marker ? Math.min(entries.size, LOOKS_MIN + LOOKS * growth) : entries.size
    hand.marker = marker
    while (looks-- > 0 && bytes > budget * TARGET) {
      let item = hand.next.next()
      if (item.done) {
        hand.next = entries.entries()
        item = hand.next.next()
        if (item.done) break
      }
      const [key, entry] = item.value
      if (entry.dirty !== 0 || entry.version > marker || entry.touched >= state.epoch || key === BROADCAST_KEY) continue
      entries.delete(key)
      bytes -= each
    }
    hand.size = entries.size
  }
}
