import type { KeyPart } from '../graph/key.ts'
import type { KeyedOperator } from '../operators/keyed-operator.ts'
import { ENTRY_RECORD, type FrameHeader, type FrameWriter, readFrame } from '../protocol/frame.ts'
import { DELETED, KeyEntry, type MapSlot, newMapSlot, type TtlCell } from './entry.ts'

/**
 * A commit's state changes, as the chunk that its item refers to. A chunk has the layout of a frame: the edge says which table (operator and
 * state), the kind whether it was written or deleted, the timestamp when it expires (0: never).
 */
const WRITTEN = 0
const DELETED_KIND = 3
/** Tables of one operator: states 0 to 29, then the two timer domains. */
const TABLES = 32
const EVENT_TIMERS = 30
const PROCESSING_TIMERS = 31

/** One change, as a chunk holds it. The object is reused: read it before the next one. */
export interface Change {
  /** Index of the keyed operator in its stage's list. */
  operator: number
  /** Index of the state, or 'event' and 'processing' for timers. */
  state: number | 'event' | 'processing'
  key: KeyPart
  /** False: deleted. */
  written: boolean
  /** Value states: the value. Map states: `{ k: subkey, v: value }`. Timers: the tag. */
  value: any
  /** Expiry (0: never), or the timer's time. */
  timestamp: number
}

/** Everything that the operators changed since the last commit, undefined when nothing did. Leaves the dirty marks as they are. */
export function encodeChanges(
  writer: FrameWriter,
  operators: readonly KeyedOperator[],
  header: FrameHeader,
): Uint8Array | undefined {
  operators.forEach((operator, index) => {
    const base = index * TABLES
    for (const entry of operator.state.dirty) {
      for (let bits = entry.dirty, i = 0; bits !== 0; bits >>>= 1, i++) {
        if (bits & 1) writeState(writer, operator, entry, base, i)
      }
    }
    for (const c of operator.eventTimers.changes)
      writer.record(base + EVENT_TIMERS, c.tag, c.at, c.key, c.set ? WRITTEN : DELETED_KIND)
    for (const c of operator.processingTimers.changes) {
      writer.record(base + PROCESSING_TIMERS, c.tag, c.at, c.key, c.set ? WRITTEN : DELETED_KIND)
    }
  })
  return writer.count === 0 ? undefined : writer.finish(header)
}

function writeState(writer: FrameWriter, operator: KeyedOperator, entry: KeyEntry, base: number, index: number): void {
  const declaration = operator.state.declarations[index]!
  const expires = declaration.ttl !== undefined
  const table = base + index
  const stored = entry.values[index]
  if (declaration.primitive === 'value') {
    if (stored === undefined) writer.record(table, null, 0, entry.key, DELETED_KIND)
    else if (expires) writer.record(table, (stored as TtlCell).value, (stored as TtlCell).expiry, entry.key, WRITTEN)
    else writer.record(table, stored, 0, entry.key, WRITTEN)
    return
  }
  const slot = stored as MapSlot
  for (const subkey of slot.dirty) {
    const value = slot.entries.get(subkey)
    if (value === undefined || value === DELETED) writer.record(table, { k: subkey }, 0, entry.key, DELETED_KIND)
    else if (expires)
      writer.record(table, { k: subkey, v: (value as TtlCell).value }, (value as TtlCell).expiry, entry.key, WRITTEN)
    else writer.record(table, { k: subkey, v: value }, 0, entry.key, WRITTEN)
  }
}

/** After a won commit: what was dirty is now of `version`. */
export function markCommitted(operators: readonly KeyedOperator[], version: number): void {
  for (const operator of operators) {
    const state = operator.state
    for (const entry of state.dirty) {
      for (let bits = entry.dirty, i = 0; bits !== 0; bits >>>= 1, i++) {
        if (bits & 1 && state.declarations[i]!.primitive === 'map') settle(entry.values[i] as MapSlot)
      }
      entry.dirty = 0
      entry.version = version
    }
    state.dirty = []
    state.epoch++
    operator.eventTimers.changes = []
    operator.processingTimers.changes = []
  }
}

/** Deleted entries of a complete slot need no marker: absence is known. */
function settle(slot: MapSlot): void {
  if (slot.complete) {
    for (const subkey of slot.dirty) if (slot.entries.get(subkey) === DELETED) slot.entries.delete(subkey)
  }
  slot.dirty.clear()
}

/** The changes of a chunk, in the order of writing. */
export function forEachChange(chunk: Uint8Array, visit: (change: Change) => void): void {
  const cursor = readFrame(chunk).reader()
  const change: Change = { operator: 0, state: 0, key: '', written: true, value: undefined, timestamp: 0 }
  while (cursor.next() === ENTRY_RECORD) {
    const table = cursor.edge % TABLES
    change.operator = (cursor.edge - table) / TABLES
    change.state = table === EVENT_TIMERS ? 'event' : table === PROCESSING_TIMERS ? 'processing' : table
    change.key = cursor.key as KeyPart
    change.written = cursor.kind === WRITTEN
    change.value = cursor.value
    change.timestamp = cursor.timestamp
    visit(change)
  }
}

/** Replays a chunk over the state in memory: what a cold environment does with each commit behind the materialised marker. */
export function applyChanges(operators: readonly KeyedOperator[], chunk: Uint8Array, version: number): void {
  forEachChange(chunk, change => {
    const operator = operators[change.operator]!
    if (change.state === 'event') operator.eventTimers.restore(change.written, change.timestamp, change.key, change.value)
    else if (change.state === 'processing')
      operator.processingTimers.restore(change.written, change.timestamp, change.key, change.value)
    else applyState(operator, change.state, change, version)
  })
}

function applyState(operator: KeyedOperator, index: number, change: Change, version: number): void {
  const state = operator.state
  const declaration = state.declarations[index]!
  let entry = state.entries.get(change.key)
  if (entry === undefined) {
    entry = new KeyEntry(change.key, state.declarations.length)
    state.entries.set(change.key, entry)
  }
  entry.version = version
  const cell = (v: unknown) => (declaration.ttl === undefined ? v : { value: v, expiry: change.timestamp })
  if (declaration.primitive === 'value') {
    entry.values[index] = change.written ? cell(change.value) : undefined
    entry.known |= 1 << index
    return
  }
  const slot: MapSlot = (entry.values[index] ??= newMapSlot(false))
  slot.entries.set(change.value.k, change.written ? cell(change.value.v) : DELETED)
}
