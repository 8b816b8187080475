import type { KeyPart } from '../graph/key.ts'
import type { Ttl } from '../state/declaration.ts'
import type { AggregatingSpec, ListSpec, MapSpec, ReducingSpec, ValueSpec } from '../state/spec.ts'
import type { Aggregate } from './aggregate.ts'
import { type Duration, positiveDuration } from './duration.ts'

/** How long state lives. A bare duration ages in event time from the last write. */
export type TtlOption = Duration | { after: Duration; time?: 'event' | 'processing'; refresh?: 'write' | 'read' }

/** Options of value, list, reducing and aggregating state. */
export interface StateOptions {
  /** Time to live; without it state stays until it is cleared. */
  ttl?: TtlOption
}

/** Options of map state. */
export interface MapStateOptions extends StateOptions {
  /**
   * `entry` (default): each entry is loaded when it is first asked for, so a key may have any number of them. `all`: a key's entries are loaded
   * together with it; better where they are few and always used together.
   */
  load?: 'all' | 'entry'
}

/**
 * One value per key.
 *
 * @example
 * stream.keyBy('user_id').process({
 *   state: { last: value<number>({ ttl: '1h' }) },
 *   onRecord(event, ctx) {
 *     ctx.state.last.set(event.timestamp)
 *   },
 * })
 */
export function value<T>(options: StateOptions = {}): ValueSpec<T> {
  return { kind: 'value', ttl: ttlOf(options.ttl) }
}

/**
 * A list per key, in the order of adding.
 *
 * @example
 * const state = { clicks: list<Click>({ ttl: '30m' }) }
 */
export function list<T>(options: StateOptions = {}): ListSpec<T> {
  return { kind: 'list', ttl: ttlOf(options.ttl) }
}

/**
 * A map per key. Each entry is stored, and ages, by itself.
 *
 * @example
 * const state = { carts: map<string, Cart>({ ttl: '1 day' }) }
 */
export function map<K extends KeyPart, V>(options: MapStateOptions = {}): MapSpec<K, V> {
  return { kind: 'map', ttl: ttlOf(options.ttl), load: options.load ?? 'entry' }
}

/**
 * One value per key, into which each added value is folded.
 *
 * @example
 * const state = { total: reducing<number>((a, b) => a + b) }
 */
export function reducing<T>(reduce: (a: T, b: T) => T, options: StateOptions = {}): ReducingSpec<T> {
  return { kind: 'reducing', ttl: ttlOf(options.ttl), reduce }
}

/**
 * One accumulator per key, read through its aggregate.
 *
 * @example
 * const state = { mean: aggregating(avg('price')) }
 */
export function aggregating<I, A, O>(aggregate: Aggregate<I, A, O>, options: StateOptions = {}): AggregatingSpec<I, A, O> {
  return {
    kind: 'aggregating',
    ttl: ttlOf(options.ttl),
    aggregate: {
      createAccumulator: () => aggregate.createAccumulator(),
      add: (value, accumulator) => aggregate.add(accumulator, value),
      getResult: accumulator => aggregate.getResult(accumulator),
    },
  }
}

function ttlOf(option: TtlOption | undefined): Ttl | undefined {
  if (option === undefined) return undefined
  if (typeof option !== 'object') return { ms: positiveDuration(option, 'ttl'), time: 'event', refresh: 'write' }
  return {
    ms: positiveDuration(option.after, 'ttl'),
    time: option.time ?? 'event',
    refresh: option.refresh ?? 'write',
  }
}
