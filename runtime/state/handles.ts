/*
 * What a handle gives back is a copy: to change the state, write it (`set`, `add`). What is written belongs to the state from then on.
 */

/** One value per key. */
export interface ValueState<T> {
  /** A copy: what is changed in it has to be `set`. Undefined: there is none. */
  get(): T | undefined
  /** Undefined clears it. */
  set(value: T): void
  /** Forgets the value. */
  clear(): void
}

/** A list per key. Each element is an entry of its own: appending costs the same whatever the length. */
export interface ListState<T> {
  /** Copies of the elements, in order. Elements age one by one where the state has a TTL. */
  get(): T[]
  /** Appends; undefined is refused, null is not. */
  add(value: T): void
  /** Appends each. */
  addAll(values: Iterable<T>): void
  /** Replaces the whole list. */
  set(values: Iterable<T>): void
  /** Leaves an empty list. */
  clear(): void
}

/**
 * A map per key. Each entry is loaded and written on its own. Iteration is in order of the map's keys (numbers by size, then strings by code
 * unit), whatever order they were written in; it sees the map as of its start.
 */
export interface MapState<K extends string | number, V> {
  /** A copy: what is changed in it has to be `set`. Undefined: there is none. */
  get(key: K): V | undefined
  /** Undefined deletes the entry. */
  set(key: K, value: V): void
  /** Whether there is an entry. */
  has(key: K): boolean
  /** No error if there is none. */
  delete(key: K): void
  /** Loads all entries of the key, where they are not in memory yet; so do keys, values and clear. */
  entries(): [K, V][]
  /** In their order. */
  keys(): K[]
  /** Copies, in the order of their keys. */
  values(): V[]
  /** Whether no entry is left. */
  isEmpty(): boolean
  /** Deletes all entries. */
  clear(): void
}

/** One value per key, into which others are reduced. */
export interface ReducingState<T> {
  /** Undefined: nothing was added. */
  get(): T | undefined
  /** Folds a value in. */
  add(value: T): void
  /** Forgets the value. */
  clear(): void
}

/** An accumulator per key; `get` gives its result. */
export interface AggregatingState<I, O> {
  /** Undefined: nothing was added. */
  get(): O | undefined
  /** Adds a value to the accumulator. */
  add(value: I): void
  /** Forgets the accumulator. */
  clear(): void
}
