import type { StateDeclaration, Ttl } from './declaration.ts'
import type { AggregatingState, ListState, MapState, ReducingState, ValueState } from './handles.ts'
import type { StateSchema } from './schema.ts'

/** How values of one kind are folded into an accumulator; Flink's AggregateFunction, without `merge`. */
export interface Accumulation<I, A, O> {
  createAccumulator(): A
  /** May change the accumulator in place and return it. */
  add(value: I, accumulator: A): A
  getResult(accumulator: A): O
}

/** A state as a user declares it: which handle, and how long entries live. */
export type StateSpec = ValueSpec<any> | ListSpec<any> | MapSpec<any, any> | ReducingSpec<any> | AggregatingSpec<any, any, any>

/** What value() declares. */
export interface ValueSpec<T> {
  readonly kind: 'value'
  readonly ttl?: Ttl
  readonly schema?: StateSchema
  /** Carries the type only. */
  readonly of?: T
}

/** What list() declares. */
export interface ListSpec<T> {
  readonly kind: 'list'
  readonly ttl?: Ttl
  readonly schema?: StateSchema
  readonly of?: T
}

/** What map() declares. */
export interface MapSpec<K extends string | number, V> {
  readonly kind: 'map'
  readonly ttl?: Ttl
  readonly schema?: StateSchema
  /** Default `entry`: see StateDeclaration. */
  readonly load?: 'all' | 'entry'
  readonly of?: [K, V]
}

/** What reducing() declares. */
export interface ReducingSpec<T> {
  readonly kind: 'reducing'
  readonly ttl?: Ttl
  readonly schema?: StateSchema
  readonly reduce: (accumulated: T, value: T) => T
}

/** What aggregating() declares. */
export interface AggregatingSpec<I, A, O> {
  readonly kind: 'aggregating'
  readonly ttl?: Ttl
  readonly schema?: StateSchema
  readonly aggregate: Accumulation<I, A, O>
}

/** States by name, as a process function declares them. */
export type StateSpecs = { readonly [name: string]: StateSpec }

export type NoStates = Record<never, never>

/** The handle that a declared state gives. */
export type HandleOf<S> =
  S extends ValueSpec<infer T>
    ? ValueState<T>
    : S extends ListSpec<infer T>
      ? ListState<T>
      : S extends MapSpec<infer K, infer V>
        ? MapState<K, V>
        : S extends ReducingSpec<infer T>
          ? ReducingState<T>
          : S extends AggregatingSpec<infer I, any, infer O>
            ? AggregatingState<I, O>
            : never

/** The handles that declared states give, by name. */
export type HandlesOf<S extends StateSpecs> = { readonly [N in keyof S]: HandleOf<S[N]> }

/** Where the bounds of a list are kept: a hidden value state beside its elements. */
export function listBounds(name: string): string {
  return `${name}#`
}

/** The primitives that hold these states, in the order of their declaration; a list takes two. */
export function declareStates(specs: StateSpecs): StateDeclaration[] {
  return Object.entries(specs).flatMap(([name, spec]) => declareState(name, spec))
}

function declareState(name: string, spec: StateSpec): StateDeclaration[] {
  const of = { ...(spec.ttl && { ttl: spec.ttl }), ...(spec.schema && { schema: spec.schema }) }
  if (spec.kind === 'map') return [{ name, primitive: 'map', load: spec.load ?? 'entry', ...of }]
  if (spec.kind !== 'list') return [{ name, primitive: 'value', ...of }]
  // The bounds must outlive every element, whatever order of timestamps they were written in: the handle writes them with the
  // latest time it has seen, which a renewal by reading would undo.
  const bounds = spec.ttl === undefined ? {} : { ttl: { ...spec.ttl, refresh: 'write' as const } }
  return [
    { name, primitive: 'map', load: 'entry', ...of },
    { name: listBounds(name), primitive: 'value', ...bounds },
  ]
}
