import { DELETED, type KeyEntry, type MapSlot } from './entry.ts'
import type { KeyedState } from './keyed-state.ts'

/**
 * Values by time in a map state (timestamp → the values of that time, in order of arrival), for operators that look up ranges of
 * time. The map must be `load: 'all'`, without a time to live. The order of a key's timestamps is kept beside the state, in memory, and made again when the key is loaded again.
 */
export class TimeBuffer<T> {
  private readonly state: KeyedState
  private readonly index: number

  constructor(state: KeyedState, index: number) {
    this.state = state
    this.index = index
  }

  add(entry: KeyEntry, timestamp: number, value: T): void {
    const slot = this.state.slot(entry, this.index)
    const order = orderOf(slot) // before the write, or it would have the timestamp already
    const stored = slot.entries.get(timestamp)
    const values = stored === DELETED ? undefined : (stored as T[] | undefined)
    if (values !== undefined) values.push(value)
    else if (order.length === 0 || timestamp > order[order.length - 1]!) order.push(timestamp)
    else order.splice(lowerBound(order, timestamp), 0, timestamp)
    this.state.mapSet(entry, this.index, timestamp, values ?? [value], 0)
  }

  /** Calls `visit` for the values with from <= timestamp <= to, in order of time, then arrival. */
  range(entry: KeyEntry, from: number, to: number, visit: (value: T, timestamp: number) => void): void {
    const slot = this.state.slot(entry, this.index)
    const order = orderOf(slot)
    for (let i = lowerBound(order, from); i < order.length && order[i]! <= to; i++) {
      const values = slot.entries.get(order[i]!) as T[]
      for (let v = 0; v < values.length; v++) visit(values[v]!, order[i]!)
    }
  }

  /** Forgets everything up to this time. */
  removeThrough(entry: KeyEntry, timestamp: number): void {
    const order = orderOf(this.state.slot(entry, this.index))
    let gone = 0
    while (gone < order.length && order[gone]! <= timestamp) this.state.mapDelete(entry, this.index, order[gone++]!)
    order.splice(0, gone)
  }
}

function orderOf(slot: MapSlot): number[] {
  if (slot.order !== undefined) return slot.order
  const order: number[] = []
  for (const [timestamp, stored] of slot.entries) if (stored !== DELETED) order.push(timestamp as number)
  slot.order = order.sort((a, b) => a - b)
  return slot.order
}

/** The first index whose element is not below `timestamp`. */
function lowerBound(order: readonly number[], timestamp: number): number {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (order[middle]! < timestamp) low = middle + 1
    else high = middle
  }
  return low
}
