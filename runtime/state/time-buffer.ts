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
    const { times, lists } = orderOf(slot) // before the write, or it would have the timestamp already
    const at = times.length === 0 || timestamp > times[times.length - 1]! ? times.length : lowerBound(times, timestamp)
    if (times[at] === timestamp) lists[at]!.push(value)
    else if (at === times.length) {
      times.push(timestamp)
      lists.push([value])
    } else {
      times.splice(at, 0, timestamp)
      lists.splice(at, 0, [value])
    }
    this.state.mapSet(entry, this.index, timestamp, lists[at]!, 0)
  }

  /** Calls `visit` for the values with from <= timestamp <= to, in order of time, then arrival. */
  range(entry: KeyEntry, from: number, to: number, visit: (value: T, timestamp: number) => void): void {
    const { times, lists } = orderOf(this.state.slot(entry, this.index))
    for (let i = lowerBound(times, from); i < times.length && times[i]! <= to; i++) {
      const values = lists[i] as T[]
      for (let v = 0; v < values.length; v++) visit(values[v]!, times[i]!)
    }
  }

  /** Forgets everything up to this time. */
  removeThrough(entry: KeyEntry, timestamp: number): void {
    const { times, lists } = orderOf(this.state.slot(entry, this.index))
    let gone = 0
    while (gone < times.length && times[gone]! <= timestamp) this.state.mapDelete(entry, this.index, times[gone++]!)
    times.splice(0, gone)
    lists.splice(0, gone)
  }
}

function orderOf(slot: MapSlot): NonNullable<MapSlot['order']> {
  if (slot.order !== undefined) return slot.order
  const times: number[] = []
  for (const [timestamp, stored] of slot.entries) if (stored !== DELETED) times.push(timestamp as number)
  times.sort((a, b) => a - b)
  slot.order = { times, lists: times.map(timestamp => slot.entries.get(timestamp) as unknown[]) }
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
