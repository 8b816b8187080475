import type { KeyEntry, MapSlot } from './entry.ts'
import type { KeyedState } from './keyed-state.ts'

/**
 * Values by time in a map state (timestamp → the values of that time, in order of arrival), for operators that look up ranges of
 * time. The map must be `load: 'all'`. The order of a key's timestamps is kept beside the state, in memory, and made again when the key is loaded again.
 */
export class TimeBuffer<T> {
  private readonly state: KeyedState
  private readonly index: number
  private readonly orders = new WeakMap<MapSlot, number[]>()

  constructor(state: KeyedState, index: number) {
    this.state = state
    this.index = index
  }

  add(entry: KeyEntry, timestamp: number, value: T): void {
    const order = this.order(entry) // before the write, or it would have the timestamp already
    const values: T[] | undefined = this.state.mapGet(entry, this.index, timestamp, 0)
    if (values !== undefined) values.push(value)
    else order.splice(lowerBound(order, timestamp), 0, timestamp)
    this.state.mapSet(entry, this.index, timestamp, values ?? [value], 0)
  }

  /** Calls `visit` for the values with from <= timestamp <= to, in order of time, then arrival. */
  range(entry: KeyEntry, from: number, to: number, visit: (value: T, timestamp: number) => void): void {
    const order = this.order(entry)
    for (let i = lowerBound(order, from); i < order.length && order[i]! <= to; i++) {
      const values: T[] = this.state.mapGet(entry, this.index, order[i]!, 0)
      for (let v = 0; v < values.length; v++) visit(values[v]!, order[i]!)
    }
  }

  /** Forgets everything up to this time. */
  removeThrough(entry: KeyEntry, timestamp: number): void {
    const order = this.order(entry)
    let gone = 0
    while (gone < order.length && order[gone]! <= timestamp) this.state.mapDelete(entry, this.index, order[gone++]!)
    order.splice(0, gone)
  }

  private order(entry: KeyEntry): number[] {
    const slot = this.state.slot(entry, this.index)
    let order = this.orders.get(slot)
    if (order === undefined) {
      order = []
      for (const [timestamp] of this.state.mapEntries(entry, this.index, 0)) order.push(timestamp as number)
      order.sort((a, b) => a - b)
      this.orders.set(slot, order)
    }
    return order
  }
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
