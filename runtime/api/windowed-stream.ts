import type { Edge } from '../graph/graph.ts'
import type { Key } from '../graph/key.ts'
import { createWindowOperator } from '../operators/create-window.ts'
import type { OutputTag } from '../operators/output-tag.ts'
import { describeAssigner, type WindowAssigner } from '../windows/assigners.ts'
import { combinerOf } from '../windows/combine.ts'
import type { Evictor } from '../windows/evictors.ts'
import { type ProcessWindowContext, type WindowOptions, windowStates } from '../windows/options.ts'
import type { Trigger } from '../windows/triggers.ts'
import type { TimeWindow } from '../windows/window.ts'
import type { Aggregate } from './aggregate.ts'
import type { GraphBuilder } from './builder.ts'
import { describe, syncFunction } from './check.ts'
import { emitting, type Results } from './context.ts'
import { type Duration, formatDuration, nonNegativeDuration } from './duration.ts'
import { PipelineError } from './error.ts'
import type { KeyedStream } from './keyed-stream.ts'
import { refuseMethods } from './missing-methods.ts'
import { stateSchema } from './state-schema.ts'
import type { Stream } from './stream.ts'

/** Windows of a keyed stream give a keyed stream, windowAll (K is never) one without a key. */
type Windowed<R, K extends Key> = [K] extends [never] ? Stream<R> : KeyedStream<R, K>

/** What a window function is told beside the result. */
export interface WindowInfo<K> {
  /** As the keyBy function gave it. */
  readonly key: K
  /** [start, end) in epoch ms. */
  readonly window: TimeWindow
}

/** What a full-window function is told. */
export interface WindowContext<K> extends WindowInfo<K>, Omit<ProcessWindowContext<never>, 'emit' | 'key' | 'window'> {}

/** Records in windows, on their way into aggregate, reduce or process. Results carry the last millisecond of their window as timestamp. */
export class WindowedStream<T, K extends Key> {
  private readonly builder: GraphBuilder
  private readonly edges: readonly Edge[]
  private readonly all: boolean
  private readonly options: Omit<WindowOptions, 'name' | 'aggregate' | 'reduce' | 'process' | 'apply'>

  constructor(
    builder: GraphBuilder,
    edges: readonly Edge[],
    assigner: WindowAssigner<T>,
    all: boolean,
    options: Partial<WindowOptions> = {},
  ) {
    if (typeof assigner?.kind !== 'string') {
      throw new PipelineError(
        'window',
        `it was given ${describe(assigner)}`,
        "Write window(tumbling('1m')), or sliding, session, globalWindow, countWindow",
      )
    }
    this.builder = builder
    this.edges = edges
    this.all = all
    this.options = { ...options, assigner }
  }

  /**
   * When windows give results; without it, at their end.
   *
   * @example
   * stream.window(tumbling('1h')).trigger(continuousEventTime('1m'))
   */
  trigger(trigger: Trigger<T>): WindowedStream<T, K> {
    for (const part of ['onElement', 'onEventTime', 'onProcessingTime', 'clear'] as const) {
      if (typeof trigger?.[part] === 'function') continue
      throw new PipelineError(
        'window',
        `its trigger has no ${part}`,
        'Use onEventTime(), onCount(100), purging(…), or write a Trigger',
      )
    }
    return this.with({ trigger })
  }

  /**
   * Takes records out of a window when it fires. A window with an evictor keeps all its records.
   *
   * @example
   * stream.window(globalWindow()).trigger(onCount(10)).evictor(countEvictor(100))
   */
  evictor(evictor: Evictor<T>): WindowedStream<T, K> {
    if (typeof evictor?.before !== 'function' && typeof evictor?.after !== 'function')
      throw new PipelineError(
        'window',
        'its evictor has neither before nor after',
        "Use countEvictor(100), timeEvictor('1m'), or write an Evictor",
      )
    return this.with({ evictor })
  }

  /**
   * How long a window stays open for late records after its end; each of them makes it fire again.
   *
   * @example
   * stream.window(tumbling('1m')).allowedLateness('30s')
   */
  allowedLateness(lateness: Duration): WindowedStream<T, K> {
    return this.with({ allowedLateness: nonNegativeDuration(lateness, 'allowedLateness') })
  }

  /**
   * Where records go that are too late for every window of theirs (Flink's sideOutputLateData); otherwise they are dropped and counted.
   *
   * @example
   * const late = sideOutput<Click>('late')
   * const counts = clicks.keyBy('user_id').window(tumbling('1m')).lateTo(late).aggregate(count())
   * counts.sideOutput(late).sink('late', print())
   */
  lateTo(tag: OutputTag<T>): WindowedStream<T, K> {
    if (typeof tag?.id !== 'string')
      throw new PipelineError('lateTo', 'it was not given a tag', "Make one with sideOutput<Click>('late')")
    return this.with({ late: tag })
  }

  /**
   * Folds each window as records come; only the accumulator is kept. Sliding windows share their work in panes if the aggregate can merge. The
   * function, if given, makes the result from the aggregate's, with key and window.
   *
   * @example
   * views.keyBy('item_id').window(sliding('5m', '1m'))
   *   .aggregate(count(), (views, { key, window }) => ({ item_id: key, views, window_end: window.end }))
   */
  aggregate<A, O>(aggregate: Aggregate<T, A, O>): Windowed<O, K>
  aggregate<A, O, R>(aggregate: Aggregate<T, A, O>, fn: (result: O, info: WindowInfo<K>) => R): Windowed<R, K>
  aggregate(aggregate: Aggregate<T, any, any>, fn?: (result: any, info: any) => any): any {
    for (const part of ['createAccumulator', 'add', 'getResult'] as const) {
      syncFunction(
        aggregate?.[part],
        'window.aggregate',
        `Give it count(), sum('price'), or an aggregate with a function ${part}`,
      )
    }
    if (fn !== undefined) syncFunction(fn, 'window.aggregate', 'Its second argument is (result, { key, window }) => …')
    const schema = stateSchema('window.aggregate', aggregate)
    return this.build({ aggregate, apply: fn, ...(schema && { schema }) }, aggregate.fields)
  }

  /**
   * Combines the records of a window two by two into one of the same type.
   *
   * @example
   * bids.keyBy('auction').window(tumbling('10s')).reduce((a, b) => (b.price > a.price ? b : a))
   */
  reduce(reduce: (a: T, b: T) => T): Windowed<T, K>
  reduce<R>(reduce: (a: T, b: T) => T, fn: (result: T, info: WindowInfo<K>) => R): Windowed<R, K>
  reduce(reduce: (a: T, b: T) => T, fn?: (result: any, info: any) => any): any {
    syncFunction(reduce, 'window.reduce', 'Write reduce((a, b) => …)')
    if (fn !== undefined) syncFunction(fn, 'window.reduce', 'Its second argument is (result, { key, window }) => …')
    return this.build({ reduce, apply: fn })
  }

  /**
   * Sees all records of a window at once, in order of arrival. Every record is kept until the window is over: prefer aggregate. Results are
   * returned (or yielded).
   *
   * @example
   * clicks.keyBy('user_id').window(session('10m')).process((clicks, { key, window }) => [{ user: key, clicks: clicks.length, from: window.start }])
   */
  process<R>(fn: (records: readonly T[], ctx: WindowContext<K>) => Results<R>): Windowed<R, K> {
    syncFunction(fn, 'window.process', 'Write process((records, { key, window }) => [result])')
    const emit = emitting<ProcessWindowContext<unknown>>((records, ctx) => fn(records, ctx))
    return this.build({ process: emit })
  }

  private with(options: Partial<WindowOptions>): WindowedStream<T, K> {
    return new WindowedStream(this.builder, this.edges, this.options.assigner, this.all, { ...this.options, ...options })
  }

  private build(
    fns: Pick<WindowOptions, 'aggregate' | 'reduce' | 'process' | 'apply' | 'schema'>,
    fields?: readonly string[],
  ): any {
    const options: WindowOptions = { ...this.options, ...fns, name: 'window' }
    const { assigner, trigger, evictor, late, allowedLateness } = options
    // Triggers, evictors, session gaps and late outputs are handed whole records.
    const opaque =
      trigger ?? evictor ?? late ?? (assigner.kind === 'session' && typeof assigner.gap === 'function' ? true : undefined)
    const lateness = allowedLateness ? `, lateness ${formatDuration(allowedLateness)}` : ''
    const node = this.builder.add({
      type: this.all ? 'windowAll' : 'window',
      inputs: [this.edges],
      states: windowStates(options),
      create: () => createWindowOperator(options),
      combine: combinerOf(options),
      sideOutputs: late !== undefined || options.process !== undefined,
      ...(fields !== undefined && opaque === undefined ? { reads: { fields, passes: false } } : {}),
      ...(this.all
        ? {
            key: undefined,
            parallelism: 1,
            fixedParallelism: 'All its records come together in one subtask: use keyBy and window for more',
          }
        : {}),
      detail: `${describeAssigner(assigner)}${lateness}`,
    })
    return this.builder.output(node)
  }
}

refuseMethods(
  WindowedStream.prototype,
  ['map', 'filter', 'flatMap', 'select', 'mapAsync', 'mapAsyncBatch', 'keyBy', 'union', 'sink', 'topN', 'sideOutput'],
  'a window gives nothing yet',
  method => `Say what becomes of its records: .window(…).aggregate(count()), .reduce(…) or .process(…), and then .${method}(…)`,
)
