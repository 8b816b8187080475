import type { Sink } from '../connectors/sink.ts'
import type { Edge, OperatorNode } from '../graph/graph.ts'
import type { Key } from '../graph/key.ts'
import type { AsyncCall, KeyedAsyncCall } from '../operators/async-options.ts'
import { FilterOperator } from '../operators/filter.ts'
import { FlatMapOperator } from '../operators/flat-map.ts'
import { MapOperator } from '../operators/map.ts'
import { MapAsyncOperator } from '../operators/map-async.ts'
import { MapAsyncBatchOperator } from '../operators/map-async-batch.ts'
import type { OutputTag } from '../operators/output-tag.ts'
import { ProcessAllOperator } from '../operators/process-all.ts'
import { SelectOperator } from '../operators/select.ts'
import type { WindowAssigner } from '../windows/assigners.ts'
import { type AsyncOptions, asyncOptions } from './async.ts'
import { forward, type GraphBuilder, type NewOperator } from './builder.ts'
import { describe, nonEmptyName, syncFunction, wholeNumber } from './check.ts'
import { type BroadcastStream, broadcastStream, ConnectedStreams } from './connected.ts'
import { emitting, type Results, type StreamContext } from './context.ts'
import { type Duration, nonNegativeDuration } from './duration.ts'
import { PipelineError } from './error.ts'
import type { KeyedStream } from './keyed-stream.ts'
import { ALL, type KeyField, type KeyFields, type KeyOfFields, keySpec } from './keys.ts'
import { refuseMethods } from './missing-methods.ts'
import { addSink, type SinkHandle } from './sink.ts'
import { WindowedStream } from './windowed-stream.ts'

/** Options of mapAsyncBatch: those of mapAsync, and how calls are filled. Retries and failures are those of a whole call. */
export interface AsyncBatchOptions<T, R> extends AsyncOptions<T, R> {
  /** Values a call, at most. Default 100. */
  size?: number
  /** How long a value waits for others to fill its call; none waits beyond the next commit. Default 10 ms. */
  wait?: Duration
}

/**
 * Records that flow from one operator to the next. Each method adds an operator to the pipeline and gives the stream of its results; nothing runs
 * yet. A function that is given must not be async, except to mapAsync and mapAsyncBatch.
 */
export class Stream<T> {
  /** Carries the type only. */
  declare readonly valueType?: () => T
  /** @internal */
  readonly builder: GraphBuilder
  /** @internal How records get from here to the next operator. */
  readonly edges: readonly Edge[]
  /** @internal The operator that this stream comes out of; undefined for keyBy and union, which are none. */
  readonly node: OperatorNode | undefined

  constructor(builder: GraphBuilder, edges: readonly Edge[], node: OperatorNode | undefined) {
    this.builder = builder
    this.edges = edges
    this.node = node
  }

  /**
   * One value in, one value out.
   *
   * @example
   * events.map(e => ({ user: e.user_id, at: e.timestamp }))
   */
  map<R>(fn: (value: T) => R): Stream<R> {
    syncFunction(fn, 'map', 'Write map(e => e.user_id)')
    return this.add({ type: 'map', create: () => new MapOperator(fn), stateless: true })
  }

  /**
   * Keeps the records for which the predicate is true. A type guard narrows the stream's type. The predicate must not change its record: another branch of the stream may have the same one.
   *
   * @example
   * const clicks = events.filter(e => e.event_type === 'click')
   */
  filter<R extends T>(predicate: (value: T) => value is R): Stream<R>
  filter(predicate: (value: T) => boolean): Stream<T>
  filter(predicate: (value: T) => boolean): Stream<any> {
    syncFunction(predicate, 'filter', 'Write filter(e => e.amount > 0)')
    return this.add({ type: 'filter', create: () => new FilterOperator(predicate), stateless: true })
  }

  /**
   * One value in, any number out: an array, a generator or another iterable.
   *
   * @example
   * orders.flatMap(order => order.lines)
   */
  flatMap<R>(fn: (value: T) => Iterable<R>): Stream<R> {
    syncFunction(fn, 'flatMap', 'Write flatMap(order => order.lines)')
    return this.add({ type: 'flatMap', create: () => new FlatMapOperator(fn), stateless: true })
  }

  /**
   * Keeps only these fields. What nobody reads further down does not travel between stages.
   *
   * @example
   * events.select('user_id', 'item_id')
   */
  select<const F extends readonly (keyof T & string)[]>(...fields: F): Stream<Pick<T, F[number]>> {
    if (fields.length === 0 || fields.some(field => typeof field !== 'string')) {
      throw new PipelineError('select', 'it was not given the names of fields', "Write select('user_id', 'item_id')")
    }
    return this.add({
      type: 'select',
      create: () => new SelectOperator(fields),
      stateless: true,
      reads: { fields, passes: false },
      detail: fields.join(', '),
    })
  }

  /**
   * The records of this stream and of others. Under a key only if all of them are keyed, by keys of one type.
   *
   * @example
   * const activity = searches.union(clicks, views)
   */
  union<U = never>(...others: Stream<U>[]): Stream<T | U> {
    for (const other of others) {
      if (!(other instanceof Stream))
        throw new PipelineError('union', 'it was given something else than streams', 'Write a.union(b, c)')
      this.builder.sameAs(other.builder, 'union')
    }
    const all: Stream<any>[] = [this, ...others]
    const edges = all.flatMap(stream => stream.edges)
    if (edges.every(edge => edge.exchange.kind === 'key')) return this.builder.kit.keyed(this.builder, edges, undefined)
    return this.builder.kit.stream(this.builder, edges.map(forward), undefined)
  }

  /**
   * A function with side outputs and time, without a key: no state, no timers. Results are returned (or yielded) and get the record's timestamp.
   *
   * @example
   * const checked = events.process((event, ctx) => {
   *   if (event.timestamp <= ctx.currentWatermark) ctx.output(late, event)
   *   else return [event]
   * })
   */
  process<R>(fn: (value: T, ctx: StreamContext) => Results<R>): Stream<R> {
    syncFunction(fn, 'process', 'Write process((value, ctx) => [result]); state needs a keyBy before it')
    return this.add({
      type: 'process',
      create: () => new ProcessAllOperator(emitting(fn)),
      stateless: true,
      sideOutputs: true,
    })
  }

  /**
   * What the operator right before this point put out under a tag.
   *
   * @example
   * const late = counts.sideOutput(lateEvents)
   */
  sideOutput<U>(tag: OutputTag<U>): Stream<U> {
    if (typeof tag?.id !== 'string') {
      throw new PipelineError('sideOutput', 'it was not given a tag', "Make one with sideOutput<Alert>('alerts')")
    }
    return this.builder.sideOutput(this.operator('sideOutput'), tag.id)
  }

  /**
   * One asynchronous call per record, several at a time: models, feature stores, other services. `call.signal` aborts when the attempt's time is up.
   *
   * @example
   * users.mapAsync(async (user, { signal }) => (await fetch(tower, { signal })).json(), { capacity: 64, timeout: '2s', retries: 3 })
   */
  mapAsync<R>(fn: (value: T, call: KeyedAsyncCall) => Promise<R>, options: AsyncOptions<NoInfer<T>, NoInfer<R>> = {}): Stream<R> {
    if (typeof fn !== 'function') throw new PipelineError('mapAsync', 'it was given no function', 'Write mapAsync(async e => …)')
    const settings = asyncOptions(options, 'mapAsync')
    return this.add({
      type: 'mapAsync',
      create: () => new MapAsyncOperator({ fn, ...settings }),
      stateless: true,
      sideOutputs: true,
      detail: `capacity ${settings.capacity}, ${settings.order}`,
    })
  }

  /**
   * Like mapAsync, with up to `size` records a call. The function gives one result for each value, in their order.
   *
   * @example
   * candidates.mapAsyncBatch(items => fetchFeatures(items), { size: 256, wait: '20ms' })
   */
  mapAsyncBatch<R>(
    fn: (values: T[], call: AsyncCall) => Promise<R[]>,
    options: AsyncBatchOptions<NoInfer<T>, NoInfer<R>> = {},
  ): Stream<R> {
    if (typeof fn !== 'function')
      throw new PipelineError('mapAsyncBatch', 'it was given no function', 'Write mapAsyncBatch(async es => …)')
    const settings = asyncOptions(options, 'mapAsyncBatch')
    const size = wholeNumber(options.size ?? 100, 1, 'mapAsyncBatch', 'size')
    const waitMs = nonNegativeDuration(options.wait ?? '10ms', 'mapAsyncBatch: wait')
    return this.add({
      type: 'mapAsyncBatch',
      create: () => new MapAsyncBatchOperator({ fn, size, waitMs, ...settings }),
      stateless: true,
      sideOutputs: true,
      detail: `size ${size}, capacity ${settings.capacity}, ${settings.order}`,
    })
  }

  /**
   * Brings the records with equal keys together: by a field, by several, or by a function that gives a string, a number or a tuple of them. Where
   * records already run under this key it costs nothing.
   *
   * @example
   * events.keyBy('user_id')
   * events.keyBy(['user_id', 'item_id'])
   * events.keyBy(e => e.user_id)
   */
  keyBy<F extends KeyField<T>>(field: F): KeyedStream<T, Extract<T[F], Key>>
  keyBy<const F extends readonly [KeyField<T>, ...KeyField<T>[]]>(fields: F): KeyedStream<T, KeyOfFields<T, F>>
  keyBy<const K extends Key>(fn: (value: T) => K): KeyedStream<T, K>
  // tsc shows the last signature where none fits: it says all that there is, and lists the fields (KeyField<T> would be shown as that).
  keyBy(
    by:
      | (KeyFields<T>[keyof T] & string)
      | readonly [KeyFields<T>[keyof T] & string, ...(KeyFields<T>[keyof T] & string)[]]
      | ((value: T) => Key),
  ): KeyedStream<T, Key>
  keyBy(by: unknown): KeyedStream<T, any> {
    const key = keySpec(by)
    const edges = this.edges.map(edge => ({ ...edge, exchange: { kind: 'key', key, inherited: false } as const }))
    return this.builder.kit.keyed(this.builder, edges, undefined)
  }

  /**
   * Sends every record to every subtask, to be connected with another stream there.
   *
   * @example
   * users.connect(trending.broadcast()).process({ broadcast: { top: map<number, string>() }, onRecord, onBroadcast })
   */
  broadcast(): BroadcastStream<T> {
    return broadcastStream(this)
  }

  /**
   * Two streams into one function. Without a key there is no state to share; see KeyedStream.connect.
   *
   * @example
   * orders.connect(payments).process({ onFirst: order => [order.id], onSecond: payment => [payment.order_id] })
   */
  connect<U>(other: Stream<U>): ConnectedStreams<T, U> {
    if (!(other instanceof Stream)) throw notConnectable(other)
    this.builder.sameAs(other.builder, 'connect')
    return new ConnectedStreams<T, U>(this, other)
  }

  /**
   * Windows over all records together, in one subtask. Prefer keyBy and window where there is a key.
   *
   * @example
   * events.windowAll(tumbling('1m')).aggregate(count())
   */
  windowAll(assigner: WindowAssigner<T>): WindowedStream<T, never> {
    const edges = this.edges.map(edge => ({ ...edge, exchange: { kind: 'key', key: ALL, inherited: false } as const }))
    return new WindowedStream<T, never>(this.builder, edges, assigner, true)
  }

  /**
   * Where results leave the pipeline. `name` is what `millrace run --sink NAME=PATH` replaces it by.
   *
   * @example
   * rankings.sink('rankings', redis({ key: r => `top:${r.user_id}` }))
   */
  sink(name: string, sink: Sink<T>): SinkHandle<T> {
    return addSink(this.builder, this.edges, name, sink)
  }

  /**
   * The identity of the operator right before this point, in state and savepoints. Without it, one is derived from the pipeline's shape, and changes
   * when the operators before it do.
   *
   * @example
   * events.keyBy('user_id').dedup('event_id', { ttl: '1h' }).uid('dedup')
   */
  uid(uid: string): this {
    this.builder.setUid(this.operator('uid'), uid)
    return this
  }

  /**
   * What plans, metrics and errors call the operator right before this point.
   *
   * @example
   * events.map(toVisit).name('to visits')
   */
  name(name: string): this {
    this.operator('name').name = nonEmptyName(name, 'name')
    return this
  }

  /**
   * Subtasks of the operator right before this point. Default: those of the operator that it is chained to, or the pipeline's. Records without a
   * key are dealt to another number of subtasks in turn; those of one key may then overtake each other on the way to the next keyBy.
   *
   * @example
   * views.keyBy('item_id').window(sliding('5m', '1m')).aggregate(count()).parallelism(1)
   */
  parallelism(subtasks: number): this {
    const node = this.operator('parallelism')
    this.builder.setParallelism(node, wholeNumber(subtasks, 1, `parallelism of ${node.type}`, 'the number of subtasks'))
    return this
  }

  /** @internal One more operator behind this stream. */
  protected add(operator: Omit<NewOperator, 'inputs'>): Stream<any> {
    return this.builder.output(this.builder.add({ ...operator, inputs: [this.edges] }))
  }

  private operator(method: string): OperatorNode {
    if (this.node !== undefined) return this.node
    throw new PipelineError(
      `.${method}()`,
      'it stands behind a keyBy or a union, which are no operators of their own',
      'Put it right behind an operator, such as map or window',
    )
  }
}

function notConnectable(other: unknown): PipelineError {
  if ((other as BroadcastStream<unknown> | undefined)?.kind === 'broadcast')
    return new PipelineError(
      'connect',
      'a stream without a key was given a broadcast stream, whose state goes with a key',
      "Put a keyBy before it: users.keyBy('user_id').connect(rules.broadcast())",
    )
  return new PipelineError('connect', `it was given ${describe(other)}`, 'Give it another stream')
}

refuseMethods(
  Stream.prototype,
  [
    'window',
    'reduce',
    'dedup',
    'topN',
    'runningTopN',
    'aggregate',
    'latest',
    'match',
    'join',
    'coGroup',
    'joinWith',
    'intervalJoin',
  ],
  'the stream has no key',
  method => `Put a keyBy before it: events.keyBy('user_id').${method}(…)${method === 'window' ? ', or use windowAll' : ''}`,
)
