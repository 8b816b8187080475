import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { KeyPart } from '../graph/key.ts'
import type { Ttl } from '../state/declaration.ts'
import type { AggregatingSpec, ListSpec, MapSpec, ReducingSpec, ValueSpec } from '../state/spec.ts'
import type { Aggregate } from './aggregate.ts'
import { syncFunction } from './check.ts'
import { type Duration, positiveDuration } from './duration.ts'
import { PipelineError } from './error.ts'
import { stateSchema, type VersionOptions } from './state-schema.ts'

/** How long state lives. A bare duration ages in event time from the last write. */
export type TtlOption = Duration | { after: Duration; time?: 'event' | 'processing'; refresh?: 'write' | 'read' }

/** Options of aggregating state: the versions of its accumulators are the aggregate's own. */
export interface AggregatingOptions {
  /** Time to live; without it state stays until it is cleared. */
  ttl?: TtlOption
}

/** Options of value, list and reducing state. */
export interface StateOptions<T = any> extends AggregatingOptions, VersionOptions {
  /**
   * What the values (a list's elements, a map's values) are, by a Standard Schema validator with JSON Schema, such as zod's. With it fields may come, if they are optional or have a default, and go; other changes of a
   * type are refused without a migration. Values are checked by it when what was written with another schema is read.
   */
  schema?: StandardSchemaV1<any, T>
}

/** Options of map state. */
export interface MapStateOptions<V = any> extends StateOptions<V> {
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
 * // Version 1 was a number: what was stored then is changed when it is first read.
 * const spent = value<{ total: number }>({ version: 2, migrate: { 1: (total: number) => ({ total }) } })
 */
export function value<T>(options: StateOptions<T> = {}): ValueSpec<T> {
  return { kind: 'value', ...commonOf('value state', options) }
}

/**
 * A list per key, in the order of adding.
 *
 * @example
 * const state = { clicks: list<Click>({ ttl: '30m' }) }
 */
export function list<T>(options: StateOptions<T> = {}): ListSpec<T> {
  return { kind: 'list', ...commonOf('list state', options) }
}

/**
 * A map per key. Each entry is stored, and ages, by itself.
 *
 * @example
 * const state = { carts: map<string, Cart>({ ttl: '1 day' }) }
 */
export function map<K extends KeyPart, V>(options: MapStateOptions<V> = {}): MapSpec<K, V> {
  const load = options.load ?? 'entry'
  if (load !== 'entry' && load !== 'all')
    throw new PipelineError('map state', `load is '${String(load)}'`, "Choose 'entry' or 'all'")
  return { kind: 'map', ...commonOf('map state', options), load }
}

/**
 * One value per key, into which each added value is folded.
 *
 * @example
 * const state = { total: reducing<number>((a, b) => a + b) }
 */
export function reducing<T>(reduce: (a: T, b: T) => T, options: StateOptions<T> = {}): ReducingSpec<T> {
  syncFunction(reduce, 'reducing', 'Write reducing<number>((a, b) => a + b)')
  return { kind: 'reducing', ...commonOf('reducing state', options), reduce }
}

/**
 * One accumulator per key, read through its aggregate.
 *
 * @example
 * const state = { mean: aggregating(avg('price')) }
 */
export function aggregating<I, A, O>(aggregate: Aggregate<I, A, O>, options: AggregatingOptions = {}): AggregatingSpec<I, A, O> {
  for (const part of ['createAccumulator', 'add', 'getResult'] as const)
    syncFunction(aggregate?.[part], 'aggregating', `Give it count(), sum('price'), or an aggregate with a function ${part}`)
  return {
    kind: 'aggregating',
    ttl: ttlOf(options.ttl),
    schema: stateSchema('aggregating', aggregate),
    aggregate: {
      createAccumulator: () => aggregate.createAccumulator(),
      add: (value, accumulator) => aggregate.add(accumulator, value),
      getResult: accumulator => aggregate.getResult(accumulator),
    },
  }
}

function commonOf(what: string, options: StateOptions) {
  return { ttl: ttlOf(options.ttl), schema: stateSchema(what, options, options.schema) }
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
