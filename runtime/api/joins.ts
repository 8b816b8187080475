import type { Edge } from '../graph/graph.ts'
import type { Key } from '../graph/key.ts'
import { CoProcessOperator } from '../operators/co-process.ts'
import { IntervalJoinOperator, intervalJoinStates } from '../operators/interval-join.ts'
import type { OutputTag } from '../operators/output-tag.ts'
import { createWindowJoinOperator, type WindowJoinOptions, windowJoinStates } from '../operators/window-join.ts'
import { declareStates } from '../state/spec.ts'
import { describeAssigner, type WindowAssigner } from '../windows/assigners.ts'
import type { ProcessWindowContext } from '../windows/options.ts'
import type { Trigger } from '../windows/triggers.ts'
import type { GraphBuilder } from './builder.ts'
import { syncFunction } from './check.ts'
import { emitting, type Results } from './context.ts'
import { type Duration, formatDuration, nonNegativeDuration, parseDuration } from './duration.ts'
import { PipelineError } from './error.ts'
import type { KeyedStream } from './keyed-stream.ts'
import { list, type StateOptions } from './state.ts'
import type { WindowContext, WindowInfo } from './windowed-stream.ts'

type Inputs = readonly [readonly Edge[], readonly Edge[]]

/** Two keyed streams whose records meet if their times lie within an interval. */
export class IntervalJoin<L, R, K extends Key> {
  private readonly builder: GraphBuilder
  private readonly inputs: Inputs

  constructor(builder: GraphBuilder, inputs: Inputs) {
    this.builder = builder
    this.inputs = inputs
  }

  /**
   * A left record of time t meets the right ones from t + lower to t + upper, both included.
   *
   * @example
   * orders.keyBy('id').intervalJoin(payments.keyBy('order_id')).between('-5m', '10m').apply((order, payment) => ({ ...order, paid: payment.at }))
   */
  between(lower: Duration, upper: Duration): BoundedIntervalJoin<L, R, K> {
    const lowerMs = parseDuration(lower, 'intervalJoin: lower bound')
    const upperMs = parseDuration(upper, 'intervalJoin: upper bound')
    if (lowerMs > upperMs) {
      throw new PipelineError(
        'intervalJoin',
        `its lower bound ${lower} is above its upper bound ${upper}`,
        "Write between('-5m', '10m')",
      )
    }
    return new BoundedIntervalJoin(this.builder, this.inputs, lowerMs, upperMs)
  }
}

/** An interval join with its bounds. */
export class BoundedIntervalJoin<L, R, K extends Key> {
  private readonly builder: GraphBuilder
  private readonly inputs: Inputs
  private readonly lowerMs: number
  private readonly upperMs: number
  private readonly lateTag: OutputTag<any> | undefined

  constructor(builder: GraphBuilder, inputs: Inputs, lowerMs: number, upperMs: number, lateTag?: OutputTag<any>) {
    this.builder = builder
    this.inputs = inputs
    this.lowerMs = lowerMs
    this.upperMs = upperMs
    this.lateTag = lateTag
  }

  /** Where records below the watermark go, of either side; otherwise they are dropped. */
  lateTo(tag: OutputTag<L | R>): BoundedIntervalJoin<L, R, K> {
    return new BoundedIntervalJoin(this.builder, this.inputs, this.lowerMs, this.upperMs, tag)
  }

  /**
   * Makes a result of each pair, once, with the later of their timestamps.
   *
   * @example
   * orders.keyBy('id').intervalJoin(payments.keyBy('order_id')).between(0, '1h').apply((order, payment) => ({ order, payment }))
   */
  apply<O>(join: (left: L, right: R) => O): KeyedStream<O, K> {
    syncFunction(join, 'intervalJoin', 'Write apply((left, right) => …)')
    const { lowerMs, upperMs, lateTag } = this
    const node = this.builder.add({
      type: 'intervalJoin',
      inputs: this.inputs,
      states: intervalJoinStates({ lowerMs, upperMs }),
      create: () => new IntervalJoinOperator({ lowerMs, upperMs, join, lateTag }),
      sideOutputs: lateTag !== undefined,
      detail: `${formatDuration(lowerMs)} to ${formatDuration(upperMs)}`,
    })
    return this.builder.output(node) as KeyedStream<O, K>
  }
}

/** Two keyed streams on their way into common windows. `M` is what happens there. */
export class WindowJoin<L, R, K extends Key, M extends 'join' | 'coGroup'> {
  protected readonly builder: GraphBuilder
  protected readonly inputs: Inputs
  private readonly mode: M

  constructor(builder: GraphBuilder, inputs: Inputs, mode: M) {
    this.builder = builder
    this.inputs = inputs
    this.mode = mode
  }

  /**
   * The windows that both streams' records are put into.
   *
   * @example
   * views.keyBy('item_id').join(purchases.keyBy('item_id')).window(tumbling('1h')).apply((view, purchase) => ({ view, purchase }))
   */
  window(assigner: WindowAssigner<L | R>): WindowedJoin<L, R, K, M> {
    if (typeof assigner?.kind !== 'string')
      throw new PipelineError(this.mode, 'it has no windows', "Write window(tumbling('1m'))")
    return new WindowedJoin(this.builder, this.inputs, this.mode, { name: this.mode, assigner })
  }
}

/** Two keyed streams that are joined: in windows, or without. */
export class Join<L, R, K extends Key> extends WindowJoin<L, R, K, 'join'> {
  /**
   * Makes a result of each pair of records with the same key, whatever their times, when the second of the two arrives (SQL's JOIN without a window). All
   * records of both streams are kept for it, or those younger than `ttl`.
   *
   * @example
   * orders.keyBy('order_id').join(payments.keyBy('order_id')).apply((order, payment) => ({ ...order, paid: payment.at }))
   */
  apply<O>(join: (left: L, right: R) => O, options: StateOptions = {}): KeyedStream<O, K> {
    syncFunction(join, 'join', 'Write apply((left, right) => …)')
    const states = { lefts: list<L>(options), rights: list<R>(options) }
    const node = this.builder.add({
      type: 'join',
      inputs: this.inputs,
      states: declareStates(states),
      create: () =>
        new CoProcessOperator<L, R, O, typeof states>({
          states,
          onFirst(left, ctx) {
            ctx.state.lefts.add(left)
            for (const right of ctx.state.rights.get()) ctx.emit(join(left, right))
          },
          onSecond(right, ctx) {
            ctx.state.rights.add(right)
            for (const left of ctx.state.lefts.get()) ctx.emit(join(left, right))
          },
        }),
    })
    return this.builder.output(node) as KeyedStream<O, K>
  }
}

/** What is applied to the windows: a function of each pair, or of both sides whole. */
type JoinFunction<L, R, K, O, M> = M extends 'join'
  ? (left: L, right: R, info: WindowInfo<K>) => O
  : (lefts: readonly L[], rights: readonly R[], ctx: WindowContext<K>) => Results<O>

/** Two keyed streams in common windows. */
export class WindowedJoin<L, R, K extends Key, M extends 'join' | 'coGroup'> {
  private readonly builder: GraphBuilder
  private readonly inputs: Inputs
  private readonly mode: M
  private readonly options: WindowJoinOptions

  constructor(builder: GraphBuilder, inputs: Inputs, mode: M, options: WindowJoinOptions) {
    this.builder = builder
    this.inputs = inputs
    this.mode = mode
    this.options = options
  }

  /** When windows give results; without it, at their end. */
  trigger(trigger: Trigger<L | R>): WindowedJoin<L, R, K, M> {
    return this.with({ trigger })
  }

  /** How long windows stay open for late records. */
  allowedLateness(lateness: Duration): WindowedJoin<L, R, K, M> {
    return this.with({ allowedLateness: nonNegativeDuration(lateness, 'allowedLateness') })
  }

  /** Where late records go, of either side; otherwise they are dropped and counted. */
  lateTo(tag: OutputTag<L | R>): WindowedJoin<L, R, K, M> {
    return this.with({ late: tag })
  }

  /**
   * After join: makes a result of each pair in a window. After coGroup: sees all of a window's lefts and rights (one of the two may be empty) and
   * returns (or yields) results.
   *
   * @example
   * views.keyBy('item_id').coGroup(purchases.keyBy('item_id')).window(tumbling('1h'))
   *   .apply((views, purchases, { key }) => [{ key, views: views.length, bought: purchases.length }])
   */
  apply<O>(fn: JoinFunction<L, R, K, O, M>): KeyedStream<O, K> {
    syncFunction(fn, this.mode, 'Write apply((left, right, { key, window }) => …)')
    const f = fn as (left: any, right: any, info: any) => any
    const options: WindowJoinOptions =
      this.mode === 'join'
        ? { ...this.options, join: f }
        : { ...this.options, coGroup: (lefts, rights, ctx) => coGroup(f, lefts, rights, ctx) }
    const node = this.builder.add({
      type: this.mode,
      inputs: this.inputs,
      states: windowJoinStates(options),
      create: () => createWindowJoinOperator(options),
      sideOutputs: options.late !== undefined || this.mode === 'coGroup',
      detail: describeAssigner(options.assigner),
    })
    return this.builder.output(node) as KeyedStream<O, K>
  }

  private with(options: Partial<WindowJoinOptions>): WindowedJoin<L, R, K, M> {
    return new WindowedJoin(this.builder, this.inputs, this.mode, { ...this.options, ...options })
  }
}

function coGroup(
  fn: (l: any, r: any, ctx: any) => any,
  lefts: readonly any[],
  rights: readonly any[],
  ctx: ProcessWindowContext<any>,
): void {
  emitting<ProcessWindowContext<any>>(lefts => fn(lefts, rights, ctx))(lefts, ctx)
}
