import type { StateAccess } from './access.ts'
import { checkSubkey } from './error.ts'
import type { MapState } from './handles.ts'
import { compareParts } from './timers.ts'

export class MapHandle<K extends string | number, V> implements MapState<K, V> {
  private readonly access: StateAccess
  private readonly index: number

  constructor(access: StateAccess, index: number) {
    this.access = access
    this.index = index
  }

  get(key: K): V | undefined {
    checkSubkey(this.name, key)
    this.access.require(this.index, key)
    return this.access.getEntry(this.index, key)
  }

  set(key: K, value: V): void {
    checkSubkey(this.name, key)
    if (value === undefined) this.access.deleteEntry(this.index, key)
    else this.access.writeEntry(this.index, key, value)
  }

  has(key: K): boolean {
    checkSubkey(this.name, key)
    this.access.require(this.index, key)
    return this.access.hasEntry(this.index, key)
  }

  delete(key: K): void {
    checkSubkey(this.name, key)
    this.access.deleteEntry(this.index, key)
  }

  entries(): [K, V][] {
    this.access.requireAll(this.index)
    const entries: [K, V][] = []
    for (const key of this.sorted()) {
      const value: V | undefined = this.access.getEntry(this.index, key)
      if (value !== undefined) entries.push([key, value])
    }
    return entries
  }

  keys(): K[] {
    this.access.requireAll(this.index)
    return this.sorted().filter(key => this.access.hasEntry(this.index, key))
  }

  values(): V[] {
    return this.entries().map(([, value]) => value)
  }

  isEmpty(): boolean {
    for (const key of this.access.subkeys(this.index)) {
      if (this.access.hasEntry(this.index, key)) return false
    }
    this.access.requireAll(this.index)
    return true
  }

  clear(): void {
    this.access.requireAll(this.index)
    for (const key of this.sorted()) this.access.deleteEntry(this.index, key)
  }

  /** A list of its own: reading and deleting change what it was taken from. */
  private sorted(): K[] {
    return ([...this.access.subkeys(this.index)] as K[]).sort(compareParts)
  }

  private get name(): string {
    return this.access.state.declarations[this.index]!.name
  }
}
