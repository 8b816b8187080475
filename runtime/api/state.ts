import type { KeyPart } from '../graph/key.ts'
import type { Ttl } from '../state/declaration.ts'
import type { AggregatingSpec, ListSpec, MapSpec, ReducingSpec, ValueSpec } from '../state/spec.ts'
import type { Aggregate } from './aggregate.ts'
import { syncFunction } from './check.ts'
import { type Duration, positiveDuration } from './duration.ts'
import { PipelineError } from './error.ts'

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
  const load = options.load ?? 'entry'
  if (load !== 'entry' && load !== 'all')
    throw new PipelineError('map state', `load is '${String(load)}'`, "Choose 'entry' or 'all'")
  return { kind: 'map', ttl: ttlOf(options.ttl), load }
}

/**
 * One value per key, into which each added value is folded.
 *
 * @example
 * const state = { total: reducing<number>((a, b) => a + b) }
 */
export function reducing<T>(reduce: (a: T, b: T) => T, options: StateOptions = {}): ReducingSpec<T> {
  syncFunction(reduce, 'reducing', 'Write reducing<number>((a, b) => a + b)')
  return { kind: 'reducing', ttl: ttlOf(options.ttl), reduce }
}

/**
 * One accumulator per key, read through its aggregate.
 *
 * @example
 * const state = { mean: aggregating(avg('price')) }
 */
export function aggregating<I, A, O>(aggregate: Aggregate<I, A, O>, options: StateOptions = {}): AggregatingSpec<I, A, O> {
  for (const part of ['createAccumulator', 'add', 'getResult'] as const)
    syncFunction(aggregate?.[part], 'aggregating', `Give it count(), sum('price'), or an aggregate with a function ${part}`)
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
  const { time = 'event', refresh = 'write' } = option
  if (time !== 'event' && time !== 'processing')
    throw new PipelineError('ttl', `time is '${String(time)}'`, "Choose 'event' or 'processing'")
  if (refresh !== 'write' && refresh !== 'read')
    throw new PipelineError('ttl', `refresh is '${String(refresh)}'`, "Choose 'write' or 'read'")
  return { ms: positiveDuration(option.after, 'ttl'), time, refresh }
}
