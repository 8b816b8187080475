import type { KeyPart } from '../graph/key.ts'
import type { StateDeclaration, Ttl } from '../state/declaration.ts'
import type { AggregatingState, ListState, MapState, ReducingState, ValueState } from '../state/handles.ts'
import type { Aggregate } from './aggregate.ts'
import { type Duration, positiveDuration } from './duration.ts'
import { PipelineError } from './error.ts'

/** How long state lives. A bare duration ages in event time from the last write. */
export type TtlOption = Duration | { after: Duration; time?: 'event' | 'processing'; refresh?: 'write' | 'read' }

export interface StateOptions {
  /** Time to live; without it state stays until it is cleared. */
  ttl?: TtlOption
}

export interface MapStateOptions extends StateOptions {
  /**
   * `all` (default): a key's entries are loaded together with it. `entry`: each is loaded when it is first asked for; better where one key has
   * thousands of them.
   */
  load?: 'all' | 'entry'
}

declare const handle: unique symbol

/** A declared state; `H` is the handle that the function gets at `ctx.state.NAME`. */
export interface StateSpec<H = unknown> {
  readonly kind: 'value' | 'list' | 'map' | 'reducing' | 'aggregating'
  readonly ttl?: Ttl
  readonly load?: 'all' | 'entry'
  /** Of reducing state. */
  readonly reduce?: (a: any, b: any) => any
  /** Of aggregating state. */
  readonly aggregate?: Aggregate<any, any, any>
  readonly [handle]?: H
}

/** Declared states by name. */
export type StateSpecs = { readonly [name: string]: StateSpec<any> }

/** The handles of declared states. */
export type Handles<S extends StateSpecs> = { readonly [N in keyof S]: S[N] extends StateSpec<infer H> ? H : never }

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
export function value<T>(options: StateOptions = {}): StateSpec<ValueState<T>> {
  return { kind: 'value', ttl: ttlOf(options.ttl) }
}

/**
 * A list per key, in the order of adding.
 *
 * @example
 * const state = { clicks: list<Click>({ ttl: '30m' }) }
 */
export function list<T>(options: StateOptions = {}): StateSpec<ListState<T>> {
  return { kind: 'list', ttl: ttlOf(options.ttl), load: 'all' }
}

/**
 * A map per key. Each entry is stored, and ages, by itself.
 *
 * @example
 * const state = { carts: map<string, Cart>({ ttl: '1 day', load: 'entry' }) }
 */
export function map<K extends KeyPart, V>(options: MapStateOptions = {}): StateSpec<MapState<K, V>> {
  return { kind: 'map', ttl: ttlOf(options.ttl), load: options.load ?? 'all' }
}

/**
 * One value per key, into which each added value is folded.
 *
 * @example
 * const state = { total: reducing<number>((a, b) => a + b) }
 */
export function reducing<T>(reduce: (a: T, b: T) => T, options: StateOptions = {}): StateSpec<ReducingState<T>> {
  return { kind: 'reducing', ttl: ttlOf(options.ttl), reduce }
}

/**
 * One accumulator per key, read through its aggregate.
 *
 * @example
 * const state = { mean: aggregating(avg<Sale>('price')) }
 */
export function aggregating<I, A, O>(
  aggregate: Aggregate<I, A, O>,
  options: StateOptions = {},
): StateSpec<AggregatingState<I, O>> {
  return { kind: 'aggregating', ttl: ttlOf(options.ttl), aggregate }
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

/** What the engine stores for these, in their order. Map and list state lie in entries of their own. */
export function declarations(specs: StateSpecs, operator: string): StateDeclaration[] {
  return Object.entries(specs).map(([name, spec]) => {
    if (spec === null || typeof spec !== 'object' || !('kind' in spec)) {
      throw new PipelineError(
        operator,
        `state '${name}' is not a state declaration`,
        'Declare it with value(), list(), map(), reducing() or aggregating()',
      )
    }
    const primitive = spec.kind === 'map' || spec.kind === 'list' ? 'map' : 'value'
    return { name, primitive, ttl: spec.ttl, ...(primitive === 'map' ? { load: spec.load } : {}) }
  })
}
