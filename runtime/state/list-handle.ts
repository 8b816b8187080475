import type { StateAccess } from './access.ts'
import { StateError } from './error.ts'
import type { ListState } from './handles.ts'

/** Elements have the subkeys first <= i < next. */
interface Bounds {
  readonly first: number
  readonly next: number
  /** The latest time (by the TTL's clock) at which an element was written: the bounds live as long as that element. */
  readonly at: number
}

const EMPTY: Bounds = { first: 0, next: 0, at: Number.NEGATIVE_INFINITY }

/** A list made of a map (index → element) and a value beside it that holds the bounds. */
export class ListHandle<T> implements ListState<T> {
  private readonly access: StateAccess
  private readonly index: number

  constructor(access: StateAccess, index: number) {
    this.access = access
    this.index = index
  }

  get(): T[] {
    const bounds = this.bounds()
    this.requireElements(bounds)
    const list: T[] = []
    let { first } = bounds
    for (let i = first; i < bounds.next; i++) {
      const element: T | undefined = this.access.getEntry(this.index, i)
      if (element !== undefined) list.push(element)
      else if (i === first) first++ // expired
    }
    if (list.length === 0 && bounds.next > 0) this.access.write(this.index + 1, undefined)
    else if (first > bounds.first || this.readingRenews) this.setBounds(first, bounds.next, bounds.at)
    return list
  }

  add(value: T): void {
    if (value === undefined) {
      const { name } = this.access.state.declarations[this.index]!
      throw new StateError(`list state '${name}' was given undefined, which it cannot hold: use null`)
    }
    const { first, next, at } = this.bounds()
    this.access.writeEntry(this.index, next, value)
    this.setBounds(first, next + 1, at)
  }

  addAll(values: Iterable<T>): void {
    for (const value of values) this.add(value)
  }

  set(values: Iterable<T>): void {
    const list = [...values] // may be made from this very list
    this.clear()
    this.addAll(list)
  }

  clear(): void {
    const { first, next } = this.bounds()
    for (let i = first; i < next; i++) this.access.deleteEntry(this.index, i)
    if (next > 0) this.access.write(this.index + 1, undefined)
  }

  private bounds(): Bounds {
    const { state, entry } = this.access
    return state.value(entry, this.index + 1, this.access.now(this.index)) ?? EMPTY
  }

  private setBounds(first: number, next: number, at: number): void {
    const latest = Math.max(at, this.access.now(this.index))
    this.access.write(this.index + 1, { first, next, at: latest } satisfies Bounds, latest)
  }

  private get readingRenews(): boolean {
    return this.access.state.declarations[this.index]!.ttl?.refresh === 'read'
  }

  /** All elements at once, so that a list that is not in memory costs one load. */
  private requireElements({ first, next }: Bounds): void {
    const { state, entry } = this.access
    const slot = state.slot(entry, this.index)
    if (slot.complete) return
    const missing: number[] = []
    for (let i = first; i < next; i++) if (!slot.entries.has(i)) missing.push(i)
    if (missing.length > 0) this.access.miss(this.index, missing)
    this.access.complete(slot) // nothing exists outside the bounds
  }
}
