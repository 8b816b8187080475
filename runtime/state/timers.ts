import type { KeyPart } from '../graph/key.ts'

/** One change of a timer, in the order in which they happened. */
export interface TimerChange {
  readonly set: boolean
  readonly at: number
  readonly key: KeyPart
  readonly tag: KeyPart
}

/** Below this many times in the heap, those that are left over don't matter. */
const STALE_MIN = 1024

/** The keys of one bucket in firing order; those before `next` have fired. */
interface FiringOrder {
  readonly at: number
  readonly keys: KeyPart[]
  next: number
}

/**
 * The timers of one operator in one time domain. A timer is (time, key, tag) and exists once. Timers of one time share a bucket, because windows
 * of many keys end together. They fire by time, then key, then tag, whatever order they were set in: a run that was killed
 * and resumed fires as an undisturbed one does.
 */
export class Timers {
  /** Since the last commit. */
  changes: TimerChange[] = []
  /** False: nobody would read them from the log (`KeyedOperator.leaveUnlogged`). */
  logs = true
  /** The earliest time that was set since somebody put this to Infinity: tells who fires timers that its list of due ones is out of date. */
  earliestSet = Number.POSITIVE_INFINITY
  private readonly buckets = new Map<number, Map<KeyPart, KeyPart | Set<KeyPart>>>()
  /** Binary min-heap of the buckets' times; a time whose bucket is gone is skipped when it comes up. */
  private readonly heap: number[] = []
  private count = 0
  /** Of the bucket that is firing. */
  private order: FiringOrder | undefined

  get size(): number {
    return this.count
  }

  /** Time of the earliest timer, Infinity when there is none. */
  get next(): number {
    while (this.heap.length > 0) {
      if (this.buckets.has(this.heap[0]!)) return this.heap[0]!
      this.pop()
    }
    return Number.POSITIVE_INFINITY
  }

  /** False if it was set already. */
  set(at: number, key: KeyPart, tag: KeyPart = ''): boolean {
    if (!this.insert(at, key, tag)) return false
    if (this.logs) this.changes.push({ set: true, at, key, tag })
    if (at < this.earliestSet) this.earliestSet = at
    return true
  }

  /** False if there was none. */
  delete(at: number, key: KeyPart, tag: KeyPart = ''): boolean {
    if (!this.remove(at, key, tag)) return false
    if (this.logs) this.changes.push({ set: false, at, key, tag })
    return true
  }

  /** Applies a change from the log, or a timer from the base: not a change of this attempt. */
  restore(set: boolean, at: number, key: KeyPart, tag: KeyPart): void {
    if (set) this.insert(at, key, tag)
    else this.remove(at, key, tag)
  }

  /** The keys and tags of one time, in firing order; the first `limit` keys of them. */
  due(at: number, limit = Number.POSITIVE_INFINITY): { key: KeyPart; tag: KeyPart }[] {
    const bucket = this.buckets.get(at)
    if (bucket === undefined) return []
    const order = this.orderOf(at, bucket)
    while (order.next < order.keys.length && !bucket.has(order.keys[order.next]!)) order.next++
    const list: { key: KeyPart; tag: KeyPart }[] = []
    let keys = 0
    for (let i = order.next; i < order.keys.length && keys < limit; i++) {
      const key = order.keys[i]!
      const tags = bucket.get(key)
      if (tags === undefined) continue
      keys++
      if (tags instanceof Set) for (const tag of [...tags].sort(compareParts)) list.push({ key, tag })
      else list.push({ key, tag: tags })
    }
    return list
  }

  /** Every timer, in firing order. */
  all(): { at: number; key: KeyPart; tag: KeyPart }[] {
    return [...this.buckets.keys()].sort((a, b) => a - b).flatMap(at => this.due(at).map(timer => ({ at, ...timer })))
  }

  /** Sorted once for a bucket, which fires in many portions when it is large. */
  private orderOf(at: number, bucket: ReadonlyMap<KeyPart, unknown>): FiringOrder {
    if (this.order?.at !== at) this.order = { at, keys: [...bucket.keys()].sort(compareParts), next: 0 }
    return this.order
  }

  /** A key came (or came back) into the bucket whose order is known. */
  private reorder(order: FiringOrder, key: KeyPart): void {
    let low = 0
    let high = order.keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareParts(order.keys[middle]!, key) < 0) low = middle + 1
      else high = middle
    }
    if (order.keys[low] !== key) order.keys.splice(low, 0, key)
    if (low < order.next) order.next = low
  }

  private insert(at: number, key: KeyPart, tag: KeyPart): boolean {
    let bucket = this.buckets.get(at)
    if (bucket === undefined) {
      bucket = new Map()
      this.buckets.set(at, bucket)
      this.push(at)
    }
    const tags = bucket.get(key)
    if (tags === undefined) {
      bucket.set(key, tag)
      if (this.order?.at === at) this.reorder(this.order, key)
    } else if (tags instanceof Set) {
      if (tags.has(tag)) return false
      tags.add(tag)
    } else {
      if (tags === tag) return false
      bucket.set(key, new Set([tags, tag]))
    }
    this.count++
    return true
  }

  private remove(at: number, key: KeyPart, tag: KeyPart): boolean {
    const bucket = this.buckets.get(at)
    const tags = bucket?.get(key)
    if (bucket === undefined || tags === undefined) return false
    if (tags instanceof Set) {
      if (!tags.delete(tag)) return false
      if (tags.size === 0) bucket.delete(key)
    } else {
      if (tags !== tag) return false
      bucket.delete(key)
    }
    if (bucket.size === 0) {
      this.buckets.delete(at)
      if (this.order?.at === at) this.order = undefined
    }
    this.count--
    return true
  }

  /** Of a bucket that is there already. Timers set and deleted again, over and over, leave times without a bucket behind: when they are most, all go. */
  private push(at: number): void {
    const heap = this.heap
    if (heap.length >= STALE_MIN && heap.length > 2 * this.buckets.size) {
      heap.length = 0
      for (const time of this.buckets.keys()) heap.push(time)
      heap.sort((a, b) => a - b)
      return
    }
    let i = heap.push(at) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (heap[parent]! <= at) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = at
  }

  private pop(): void {
    const heap = this.heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++
      if (heap[child]! >= last) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}

/** Numbers before strings, numbers by size, strings by code unit. */
export function compareParts(a: KeyPart, b: KeyPart): number {
  if (typeof a === 'number') return typeof b === 'number' ? a - b : -1
  if (typeof b === 'number') return 1
  return a < b ? -1 : a > b ? 1 : 0
}
