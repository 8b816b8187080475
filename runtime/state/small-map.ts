import type { KeyPart } from '../graph/key.ts'

/**
 * A Map of which there are very many, most of them with one entry: that lies in the object itself. A Map of its own for each would be several objects more, and as many misses of the
 * cache for each look. Entries come in the order in which they were first set.
 */
export class SmallMap<V> {
  /** The only one; undefined: there is none, or there are more. */
  private key: KeyPart | undefined
  private value: V | undefined
  /** All of them, once there have been more than one. */
  private all: Map<KeyPart, V> | undefined

  get size(): number {
    return this.all === undefined ? (this.key === undefined ? 0 : 1) : this.all.size
  }

  has(key: KeyPart): boolean {
    return this.all === undefined ? this.key === key : this.all.has(key)
  }

  get(key: KeyPart): V | undefined {
    if (this.all !== undefined) return this.all.get(key)
    return this.key === key ? this.value : undefined
  }

  set(key: KeyPart, value: V): void {
    if (this.all !== undefined) this.all.set(key, value)
    else if (this.key === undefined || this.key === key) {
      this.key = key
      this.value = value
    } else {
      this.all = new Map<KeyPart, V>().set(this.key, this.value as V).set(key, value)
      this.key = undefined
      this.value = undefined
    }
  }

  delete(key: KeyPart): void {
    if (this.all !== undefined) {
      this.all.delete(key)
      if (this.all.size === 0) this.all = undefined
    } else if (this.key === key) {
      this.key = undefined
      this.value = undefined
    }
  }

  clear(): void {
    this.key = undefined
    this.value = undefined
    this.all = undefined
  }

  forEach(visit: (value: V, key: KeyPart) => void): void {
    if (this.all !== undefined) this.all.forEach(visit)
    else if (this.key !== undefined) visit(this.value as V, this.key)
  }

  [Symbol.iterator](): Iterator<[KeyPart, V]> & Iterable<[KeyPart, V]> {
    if (this.all !== undefined) return this.all[Symbol.iterator]()
    const one: [KeyPart, V][] = this.key === undefined ? [] : [[this.key, this.value as V]]
    return one[Symbol.iterator]()
  }
}
