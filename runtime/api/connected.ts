import type { Edge } from '../graph/graph.ts'
import type { Key } from '../graph/key.ts'
import { BroadcastProcessOperator, type BroadcastSpecs, broadcastProcessStates } from '../operators/broadcast-process.ts'
import { CoProcessOperator } from '../operators/co-process.ts'
import { MapOperator } from '../operators/map.ts'
import { ProcessAllOperator } from '../operators/process-all.ts'
import { STATES_MAX } from '../state/keyed-state.ts'
import { declareStates, type StateSpecs } from '../state/spec.ts'
import { forward, type GraphBuilder } from './builder.ts'
import { syncFunction } from './check.ts'
import {
  type BroadcastRecordContext,
  emitting,
  type KeyedBroadcastRecordContext,
  type KeyedContext,
  type NoState,
  type Results,
  type StreamContext,
} from './context.ts'
import { PipelineError } from './error.ts'
import type { KeyedStream } from './keyed-stream.ts'
import type { Stream } from './stream.ts'

/** A stream of which every subtask sees every record. Connect a keyed stream with it. */
export interface BroadcastStream<T> {
  readonly kind: 'broadcast'
  /** Carries the type only. */
  readonly valueType?: () => T
  /** @internal */
  readonly builder: GraphBuilder
  /** @internal */
  readonly edges: readonly Edge[]
}

export function broadcastStream<T>(stream: Stream<T>): BroadcastStream<T> {
  const edges = stream.edges.map(edge => ({ ...edge, exchange: { kind: 'broadcast' } as const }))
  return { kind: 'broadcast', builder: stream.builder, edges }
}

/** Functions for two streams without a key. */
export interface CoFunctions<A, B, R1, R2 = R1> {
  /** A record of the stream that `connect` was called on. */
  onFirst(value: A, ctx: StreamContext): Results<R1>
  /** A record of the other stream. */
  onSecond(value: B, ctx: StreamContext): Results<R2>
}

/** Two streams on their way into one function. */
export class ConnectedStreams<A, B> {
  protected readonly first: Stream<A>
  protected readonly second: Stream<B>

  constructor(first: Stream<A>, second: Stream<B>) {
    this.first = first
    this.second = second
  }

  /**
   * Results are returned (or yielded).
   *
   * @example
   * orders.connect(payments).process({ onFirst: order => [order.id], onSecond: payment => [payment.order_id] })
   */
  process<R1, R2 = R1>(functions: CoFunctions<A, B, R1, R2>): Stream<R1 | R2> {
    syncFunction(functions?.onFirst, 'connect', 'Write process({ onFirst, onSecond })')
    syncFunction(functions.onSecond, 'connect', 'Write process({ onFirst, onSecond })')
    const { builder } = this.first
    const inputs = [...numbered(this.first, 0), ...numbered(this.second, 1)]
    const node = builder.add({
      type: 'connect',
      inputs: [inputs],
      stateless: true,
      sideOutputs: true,
      create: () =>
        new ProcessAllOperator(
          emitting(([input, value]: Numbered, ctx) =>
            input === 0 ? functions.onFirst(value, ctx) : functions.onSecond(value, ctx),
          ),
        ),
    })
    return builder.output(node)
  }
}

/** A record with the input of `connect` that it came by. */
type Numbered = readonly [input: 0 | 1, value: any]

/**
 * The edges of a stream whose records say which input they are. So both streams can be one input of the operator, as a union is: like other stateless
 * operators it is where its records are, with a copy in each stage that they come from, and costs no shuffle.
 */
function numbered(stream: Stream<any>, input: 0 | 1): readonly Edge[] {
  const node = stream.builder.add({
    type: 'input',
    name: input === 0 ? 'first' : 'second',
    inputs: [stream.edges.map(forward)],
    stateless: true,
    create: () => new MapOperator((value: unknown): Numbered => [input, value]),
  })
  return stream.builder.output(node).edges
}

/** A function on two keyed streams that share state and timers. */
export interface KeyedCoFunctions<A, B, R1, R2, S extends StateSpecs, K extends Key> {
  /** Declared with value(), list(), map(), reducing() and aggregating(). Put it first: the types of `ctx.state` come from it. */
  state?: S
  /** A record of the stream that `connect` was called on. */
  onFirst(value: A, ctx: KeyedContext<S, K>): Results<R1>
  /** A record of the other stream. */
  onSecond(value: B, ctx: KeyedContext<S, K>): Results<R2>
  /** A timer of the key is due (epoch ms). */
  onTimer?(at: number, ctx: KeyedContext<S, K>, domain: 'event' | 'processing'): Results<R1>
}

/** Two keyed streams on their way into one function. */
export class KeyedConnectedStreams<A, B, K extends Key> extends ConnectedStreams<A, B> {
  /** Carries the type only. */
  declare readonly keyType?: (key: K) => K

  /**
   * Both functions see the same state of the key. Results are returned (or yielded).
   *
   * @example
   * orders.keyBy('order_id').connect(payments.keyBy('order_id')).process({
   *   state: { order: value<Order>() },
   *   onFirst(order, ctx) {
   *     ctx.state.order.set(order)
   *   },
   *   onSecond(payment, ctx) {
   *     return [{ payment, order: ctx.state.order.get() }]
   *   },
   * })
   */
  override process<R1, R2 = R1, S extends StateSpecs = NoState>(
    functions: KeyedCoFunctions<A, B, R1, R2, S, K>,
  ): KeyedStream<R1 | R2, K> {
    syncFunction(functions?.onFirst, 'connect', 'Write process({ state, onFirst, onSecond })')
    syncFunction(functions.onSecond, 'connect', 'Write process({ state, onFirst, onSecond })')
    const states = functions.state ?? ({} as S)
    checkStates('connect', states)
    const { builder } = this.first
    const node = builder.add({
      type: 'connect',
      inputs: [this.first.edges, this.second.edges],
      states: declareStates(states),
      sideOutputs: true,
      create: () =>
        new CoProcessOperator({
          states,
          onFirst: emitting((value, ctx) => functions.onFirst(value, ctx)),
          onSecond: emitting((value, ctx) => functions.onSecond(value, ctx)),
          onTimer: functions.onTimer && emitting((at, ctx, domain) => functions.onTimer!(at, ctx, domain)),
        }),
    })
    return builder.output(node) as KeyedStream<R1 | R2, K>
  }
}

/** A function on a keyed stream and a broadcast one. */
export interface BroadcastFunctions<A, C, R1, R2, S extends StateSpecs, B extends BroadcastSpecs, K extends Key> {
  /** Keyed state. Put it and `broadcast` first: the types of the contexts come from them. */
  state?: S
  /** Broadcast state: maps, the same for all keys. Every subtask keeps a copy. */
  broadcast: B
  /** A record of the keyed stream. */
  onRecord(value: A, ctx: KeyedBroadcastRecordContext<S, B, K>): Results<R1>
  /** Must change the broadcast state by the record alone, or the subtasks' copies drift apart. Its results come from each subtask. */
  onBroadcast(value: C, ctx: BroadcastRecordContext<B>): Results<R2>
  /** A timer of the key is due (epoch ms); it fires once. */
  onTimer?(at: number, ctx: KeyedBroadcastRecordContext<S, B, K>, domain: 'event' | 'processing'): Results<R1>
}

/** A keyed stream and a broadcast one on their way into one function. */
export class BroadcastConnectedStreams<A, C, K extends Key> {
  private readonly builder: GraphBuilder
  private readonly inputs: readonly (readonly Edge[])[]

  constructor(keyed: KeyedStream<A, K>, broadcast: BroadcastStream<C>) {
    this.builder = keyed.builder
    this.inputs = [keyed.edges, broadcast.edges]
  }

  /**
   * Every subtask sees all broadcast records; the keyed function reads what they left.
   *
   * @example
   * users.connect(rules.broadcast()).process({
   *   broadcast: { rules: map<string, Rule>() },
   *   onRecord: (user, ctx) => ctx.broadcast.rules.values().filter(rule => rule.applies(user)),
   *   onBroadcast(rule, ctx) {
   *     ctx.broadcast.rules.set(rule.id, rule)
   *   },
   * })
   */
  process<R1, R2 = never, S extends StateSpecs = NoState, B extends BroadcastSpecs = BroadcastSpecs>(
    functions: BroadcastFunctions<A, C, R1, R2, S, B, K>,
  ): KeyedStream<R1 | R2, K> {
    syncFunction(functions?.onRecord, 'connect', 'Write process({ broadcast, onRecord, onBroadcast })')
    syncFunction(functions.onBroadcast, 'connect', 'Write process({ broadcast, onRecord, onBroadcast })')
    const states = functions.state ?? ({} as S)
    const broadcast = functions.broadcast
    checkStates('connect', states, broadcast)
    for (const [name, spec] of Object.entries(broadcast ?? {})) {
      if (spec.kind !== 'map') throw new PipelineError('connect', `broadcast state '${name}' is no map`, 'Declare it with map()')
    }
    const node = this.builder.add({
      type: 'connect',
      detail: 'broadcast',
      inputs: this.inputs,
      states: broadcastProcessStates({ states, broadcast }),
      sideOutputs: true,
      create: () =>
        new BroadcastProcessOperator({
          states,
          broadcast,
          onRecord: emitting((value, ctx) => functions.onRecord(value, ctx)),
          onBroadcast: emitting((value, ctx) => functions.onBroadcast(value, ctx)),
          onTimer: functions.onTimer && emitting((at, ctx, domain) => functions.onTimer!(at, ctx, domain)),
        }),
    })
    return this.builder.output(node) as KeyedStream<R1 | R2, K>
  }
}

/** Refuses what is no declaration, and two states of one name. */
export function checkStates(operator: string, ...groups: (StateSpecs | undefined)[]): void {
  const names = new Set<string>()
  for (const [name, spec] of groups.flatMap(group => Object.entries(group ?? {}))) {
    if (spec === null || typeof spec !== 'object' || !('kind' in spec)) {
      throw new PipelineError(
        operator,
        `state '${name}' is no state declaration`,
        'Declare it with value(), list(), map(), reducing() or aggregating()',
      )
    }
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new PipelineError(operator, `state '${name}' has a name that can't be used`, 'Use letters, digits and _')
    if (names.has(name)) throw new PipelineError(operator, `it declares two states named '${name}'`, 'Give each its own name')
    names.add(name)
  }
  const declared = groups.reduce((sum, group) => sum + declareStates(group ?? {}).length, 0)
  if (declared > STATES_MAX)
    throw new PipelineError(
      operator,
      `its states come to ${declared}, where a list counts twice, and an operator can have ${STATES_MAX}`,
      'Put what belongs together into one map() or one value() of an object',
    )
}
