import type { KeyedOperator } from '../operators/keyed-operator.ts'
import { BROADCAST_KEY } from './broadcast.ts'
import type { KeyEntry, MapSlot } from './entry.ts'

/** Rough bytes of V8 heap that an entry, a map entry and a key's own string take beside the value. */
const ENTRY_BYTES = 200
const SUBENTRY_BYTES = 80
/** Evicting goes on until this share of the budget is in use, so that it does not run again at once. */
const TARGET = 0.7
/** Entries looked at to estimate the size of all. */
const SAMPLE = 64

/** About how many bytes the keyed state of these operators takes in memory: a sample of the entries, scaled up. */
export function estimateBytes(operators: readonly KeyedOperator[]): number {
  return operators.reduce(
    (sum, o) => sum + o.state.entries.size * sampleBytes(o) + (o.eventTimers.size + o.processingTimers.size) * 100,
    0,
  )
}

function sampleBytes(operator: KeyedOperator): number {
  const { entries } = operator.state
  if (entries.size === 0) return 0
  let bytes = 0
  let n = 0
  for (const entry of entries.values()) {
    bytes += entryBytes(entry, operator)
    if (++n === SAMPLE) break
  }
  return bytes / n
}

function entryBytes(entry: KeyEntry, operator: KeyedOperator): number {
  let bytes = ENTRY_BYTES
  operator.state.declarations.forEach((d, i) => {
    const value = entry.values[i]
    if (value === undefined) return
    if (d.primitive === 'value') bytes += valueBytes(value, 3)
    else for (const v of (value as MapSlot).entries.values()) bytes += SUBENTRY_BYTES + valueBytes(v, 2)
  })
  return bytes
}

function valueBytes(value: unknown, depth: number): number {
  if (typeof value === 'string') return 16 + value.length
  if (typeof value !== 'object' || value === null) return 8
  if (ArrayBuffer.isView(value)) return 100 + value.byteLength
  if (depth === 0) return 200
  let bytes = 40
  for (const v of value instanceof Map ? value.values() : Object.values(value)) bytes += 8 + valueBytes(v, depth - 1)
  return bytes
}

/**
 * Drops entries that the base has (their last version is at or below the marker) and that were not used lately, oldest first, until
 * memory is well below `budget`. Entries that only the log has stay: a checkpoint has to materialise them first.
 */
export function evict(operators: readonly KeyedOperator[], marker: number, budget: number): void {
  let bytes = estimateBytes(operators)
  if (bytes <= budget) return
  for (const operator of operators) {
    if (operator.state.loader === undefined) continue
    const each = sampleBytes(operator)
    for (const [key, entry] of operator.state.entries) {
      if (bytes <= budget * TARGET) return
      if (entry.dirty !== 0 || entry.version > marker || entry.touched >= operator.state.epoch || key === BROADCAST_KEY) continue
      operator.state.entries.delete(key)
      bytes -= each
    }
  }
}
