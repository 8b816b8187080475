import { type Begin, begin, compile, type Match, type Pattern } from '../cep/pattern.ts'
import type { SkipStrategy } from '../cep/skip.ts'
import type { Edge } from '../graph/graph.ts'
import type { Key, KeyPart } from '../graph/key.ts'
import type { AsyncCall, KeyedAsyncCall } from '../operators/async-options.ts'
import { DEDUP_STATES, DedupOperator } from '../operators/dedup.ts'
import { JoinWithOperator, joinWithStates } from '../operators/join-with.ts'
import { LATEST_STATES, LatestOperator } from '../operators/latest.ts'
import { MATCH_STATES, MatchOperator } from '../operators/match.ts'
import type { OutputTag } from '../operators/output-tag.ts'
import { ProcessOperator } from '../operators/process.ts'
import { REDUCE_STATES, ReduceOperator } from '../operators/reduce.ts'
import { RUNNING_TOP_N_STATES, RunningTopNOperator } from '../operators/running-top-n.ts'
import { type Ranked, TOP_N_STATES, TopNOperator } from '../operators/top-n.ts'
import { declareStates, type StateSpecs } from '../state/spec.ts'
import type { WindowAssigner } from '../windows/assigners.ts'
import type { Aggregate } from './aggregate.ts'
import type { AsyncOptions } from './async.ts'
import { Changelog, runningAggregate } from './changelog.ts'
import { describe, syncFunction, wholeNumber } from './check.ts'
import { BroadcastConnectedStreams, type BroadcastStream, checkStates, KeyedConnectedStreams } from './connected.ts'
import { emitting, type KeyedContext, type NoState, type Results, type StreamContext } from './context.ts'
import { type Duration, formatDuration, nonNegativeDuration, positiveDuration } from './duration.ts'
import { PipelineError } from './error.ts'
import { IntervalJoin, Join, WindowJoin } from './joins.ts'
import { type OrderBy, ordering } from './ordering.ts'
import { type AsyncBatchOptions, Stream } from './stream.ts'
import { WindowedStream } from './windowed-stream.ts'

/** A keyed process function: state, timers, side outputs. */
export interface KeyedFunctions<T, R, S extends StateSpecs, K extends Key> {
  /** Declared with value(), list(), map(), reducing() and aggregating(). Put it first: the types of `ctx.state` come from it. */
  state?: S
  /** A record, with the state of its key. */
  onRecord(value: T, ctx: KeyedContext<S, K>): Results<R>
  /** A timer of the key is due (epoch ms); it fires once. */
  onTimer?(at: number, ctx: KeyedContext<S, K>, domain: 'event' | 'processing'): Results<R>
}

/**
 * A stream whose records run under a key, each with those of the same key in one subtask, until the next keyBy. Operators keep the key, so
 * keyed ones may follow each other (and stateless ones between them) without another keyBy and without a shuffle.
 */
export class KeyedStream<T, K extends Key> extends Stream<T> {
  /** Carries the type only. */
  declare readonly keyType?: (key: K) => K

  /** See Stream.map; the key stays. */
  override map<R>(fn: (value: T) => R): KeyedStream<R, K> {
    return super.map(fn) as KeyedStream<R, K>
  }

  /** See Stream.filter; the key stays. */
  override filter<R extends T>(predicate: (value: T) => value is R): KeyedStream<R, K>
  override filter(predicate: (value: T) => boolean): KeyedStream<T, K>
  override filter(predicate: (value: T) => boolean): any {
    return super.filter(predicate)
  }

  /** See Stream.flatMap; the key stays. */
  override flatMap<R>(fn: (value: T) => Iterable<R>): KeyedStream<R, K> {
    return super.flatMap(fn) as KeyedStream<R, K>
  }

  /** See Stream.select; the key stays. */
  override select<const F extends readonly (keyof T & string)[]>(...fields: F): KeyedStream<Pick<T, F[number]>, K> {
    return super.select(...fields) as KeyedStream<Pick<T, F[number]>, K>
  }

  /**
   * See Stream.union. With streams under a key of the same type, the union is keyed, each record by its own stream's key.
   *
   * @example
   * ann.union(popular).window(tumbling('2s')).reduce(merge)
   */
  override union<U = never>(...others: KeyedStream<U, K>[]): KeyedStream<T | U, K>
  override union<U = never>(...others: Stream<U>[]): Stream<T | U>
  override union(...others: Stream<any>[]): any {
    return super.union(...others)
  }

  /** See Stream.sideOutput; the key stays. */
  override sideOutput<U>(tag: OutputTag<U>): KeyedStream<U, K> {
    return super.sideOutput(tag) as KeyedStream<U, K>
  }

  /** See Stream.mapAsync; the key stays, and `call.key` is it. */
  override mapAsync<R>(
    fn: (value: T, call: KeyedAsyncCall) => Promise<R>,
    options: AsyncOptions<NoInfer<T>, NoInfer<R>> = {},
  ): KeyedStream<R, K> {
    return super.mapAsync(fn, options) as KeyedStream<R, K>
  }

  /** See Stream.mapAsyncBatch; the key stays. A call may hold records of several keys. */
  override mapAsyncBatch<R>(
    fn: (values: T[], call: AsyncCall) => Promise<R[]>,
    options: AsyncBatchOptions<NoInfer<T>, NoInfer<R>> = {},
  ): KeyedStream<R, K> {
    return super.mapAsyncBatch(fn, options) as KeyedStream<R, K>
  }

  /**
   * A function with state and timers per key, and side outputs. Results are returned (or yielded) and get the timestamp of the record or timer.
   *
   * @example
   * events.keyBy('user_id').process({
   *   state: { seen: value<number>({ ttl: '1 day' }) },
   *   onRecord(event, ctx) {
   *     const seen = (ctx.state.seen.get() ?? 0) + 1
   *     ctx.state.seen.set(seen)
   *     if (seen === 1) ctx.timers.event.set(event.timestamp + 60_000)
   *     return [{ user: ctx.key, seen }]
   *   },
   *   onTimer: (at, ctx) => [{ user: ctx.key, seen: ctx.state.seen.get() ?? 0 }],
   * })
   */
  override process<R, S extends StateSpecs = NoState>(functions: KeyedFunctions<T, R, S, K>): KeyedStream<R, K>
  override process<R>(fn: (value: T, ctx: StreamContext) => Results<R>): KeyedStream<R, K>
  override process(definition: KeyedFunctions<T, any, any, K> | ((value: T, ctx: StreamContext) => Results<any>)): any {
    if (typeof definition === 'function') return super.process(definition)
    syncFunction(definition?.onRecord, 'process', 'Write process({ state, onRecord(value, ctx) { … } })')
    if (definition.onTimer !== undefined) syncFunction(definition.onTimer, 'process', 'Write onTimer(at, ctx) { … }')
    const states: StateSpecs = definition.state ?? {}
    checkStates('process', states)
    return this.add({
      type: 'process',
      states: declareStates(states),
      sideOutputs: true,
      create: () =>
        new ProcessOperator({
          states,
          onRecord: emitting((value, ctx) => definition.onRecord(value, ctx)),
          onTimer: definition.onTimer && emitting((at, ctx, domain) => definition.onTimer!(at, ctx, domain)),
        }),
    })
  }

  /**
   * A running reduce: the accumulated value after each record.
   *
   * @example
   * sales.keyBy('shop').reduce((total, sale) => ({ ...sale, price: total.price + sale.price }))
   */
  reduce(fn: (accumulated: T, value: T) => T): KeyedStream<T, K> {
    syncFunction(fn, 'reduce', 'Write reduce((accumulated, value) => …)')
    return this.keyed({ type: 'reduce', states: REDUCE_STATES, create: () => new ReduceOperator(fn) })
  }

  /**
   * Drops a record if one with the same key and id came before it, less than `ttl` of event time apart. A record without an id (undefined or null)
   * passes. Ids are forgotten a `ttl` behind the watermark, so a duplicate that is later than that would pass; with `allowedLateness`, they are kept
   * for so much longer, records later than it are dropped (or go to `lateTo`), and no duplicate ever passes. With a `ttl` of Infinity
   * they are kept for good.
   *
   * @example
   * events.keyBy('user_id').dedup('event_id', { ttl: '1h' })
   */
  dedup(
    id: (keyof T & string) | ((value: T) => KeyPart | null | undefined),
    options: { ttl: Duration; allowedLateness?: Duration; lateTo?: OutputTag<T> },
  ): KeyedStream<T, K> {
    const byField = typeof id === 'string'
    if (!byField) syncFunction(id, 'dedup', "Write dedup('event_id', { ttl: '1h' })")
    if (options?.ttl === undefined) {
      throw new PipelineError(
        'dedup',
        'it has no ttl, so its state would grow for ever',
        "Write dedup('event_id', { ttl: '1h' }), or ttl: Infinity if it may",
      )
    }
    const ttlMs = options.ttl === Number.POSITIVE_INFINITY ? options.ttl : positiveDuration(options.ttl, 'dedup: ttl')
    const latenessMs =
      options.allowedLateness === undefined ? undefined : nonNegativeDuration(options.allowedLateness, 'dedup: allowedLateness')
    const of = byField ? (value: any) => value[id] : (id as (value: any) => KeyPart | null | undefined)
    return this.keyed({
      type: 'dedup',
      states: DEDUP_STATES,
      create: () => new DedupOperator({ id: of, ttlMs, latenessMs, lateTag: options.lateTo }),
      sideOutputs: options.lateTo !== undefined,
      ...(byField ? { reads: { fields: [id], passes: true } } : {}),
      detail: `${byField ? `${id}, ` : ''}ttl ${formatDuration(ttlMs)}${latenessMs === undefined ? '' : `, lateness ${formatDuration(latenessMs)}`}`,
    })
  }

  /**
   * The best `n` of the records with the same key and timestamp (the results of one window have the same), in order of rank, once the watermark has
   * reached it. `by`: fields, a `-` before one for descending order, or a comparator. Break ties, or the order of arrival decides; or keep them with
   * `ties`: all that equal the `n`th stay, and equal ones have the same rank.
   *
   * @example
   * counts.keyBy('window_end').topN(10, { by: ['-views', 'item_id'] })
   */
  topN(n: number, options: { by: OrderBy<T>; ties?: boolean; lateTo?: OutputTag<T> }): KeyedStream<Ranked<T>, K> {
    wholeNumber(n, 1, 'topN', 'how many to keep')
    const compare = ordering<T>(options?.by, 'topN')
    return this.keyed({
      type: 'topN',
      states: TOP_N_STATES,
      create: () => new TopNOperator({ n, compare, ties: options.ties, lateTag: options.lateTo }),
      sideOutputs: options.lateTo !== undefined,
      detail: `${n}${options.ties ? ' with ties' : ''} by ${Array.isArray(options.by) ? options.by.join(', ') : 'comparator'}`,
    })
  }

  /**
   * The best `n` of all records of a key so far, as a table that changes (SQL's ROW_NUMBER() over the whole history). `by`: as for topN. Of records that
   * rank equal, the first stays in front.
   *
   * @example
   * bids.keyBy('auction').runningTopN(10, { by: ['-price'] })
   */
  runningTopN(n: number, options: { by: OrderBy<T> }): Changelog<Ranked<T>> {
    wholeNumber(n, 1, 'runningTopN', 'how many to keep')
    const compare = ordering<T>(options?.by, 'runningTopN')
    return this.changelog({
      type: 'runningTopN',
      states: RUNNING_TOP_N_STATES,
      create: () => new RunningTopNOperator({ n, compare }),
      detail: `${n} by ${Array.isArray(options.by) ? options.by.join(', ') : 'comparator'}`,
    })
  }

  /**
   * The latest record of each key, by event time, as a table that changes; of equal times, the one that came last.
   *
   * @example
   * bids.keyBy('auction').latest()
   */
  latest(): Changelog<T> {
    return this.changelog({ type: 'latest', states: LATEST_STATES, create: () => new LatestOperator<T>() })
  }

  /**
   * A running aggregate: one row for each key, as a table that changes with each record (SQL's GROUP BY). The function, if given, makes the row from the
   * aggregate's result. All of the key's accumulator is kept for good: where there is an end to a group, use a window.
   *
   * @example
   * sales.keyBy('shop').aggregate(all({ sales: count(), revenue: sum('price') }), (totals, { key }) => ({ shop: key, ...totals }))
   */
  aggregate<A, O>(aggregate: Aggregate<T, A, O>): Changelog<O>
  aggregate<A, O, R>(aggregate: Aggregate<T, A, O>, fn: (result: O, info: { readonly key: K }) => R): Changelog<R>
  aggregate(aggregate: Aggregate<T, any, any>, fn?: (result: any, info: any) => any): Changelog<any> {
    return runningAggregate(this.builder, this.edges, aggregate, fn, false)
  }

  /**
   * Looks for a pattern in the records of each key, in order of time (Flink's CEP): complex events, and things that did not happen. A match has the
   * events of each step by its name. `orderBy` orders records of the same time, `skip` tells which matches may overlap (default: all). Partial matches that
   * `within` ends go to `timedOutTo`, late records to `lateTo`.
   *
   * @example
   * events
   *   .keyBy('user_id')
   *   .match(begin => begin('search').where(e => e.event_type === 'search').notFollowedBy('click').where(e => e.event_type === 'click').within('5m'))
   *   .map(({ search: [search] }) => ({ user: search!.user_id, lost: search!.item_id }))
   */
  match<N extends string>(
    pattern: (begin: Begin<T>) => Pattern<T, N>,
    options: {
      skip?: SkipStrategy
      orderBy?: OrderBy<T>
      timedOutTo?: OutputTag<Match<T, NoInfer<N>>>
      lateTo?: OutputTag<T>
    } = {},
  ): KeyedStream<Match<T, N>, K> {
    syncFunction(pattern, 'match', "Write match(begin => begin('order').followedBy('payment').within('1h'))")
    const compiled = compile(pattern(begin), options.skip)
    const compare = options.orderBy === undefined ? undefined : ordering<T>(options.orderBy, 'match')
    return this.keyed({
      type: 'match',
      states: MATCH_STATES,
      create: () => new MatchOperator({ pattern: compiled, compare, timedOutTag: options.timedOutTo, lateTag: options.lateTo }),
      sideOutputs: options.timedOutTo !== undefined || options.lateTo !== undefined,
      detail: [...compiled.steps, ...compiled.trailing].map(step => step.name).join(', '),
    })
  }

  /**
   * Puts the records of each key into windows.
   *
   * @example
   * events.keyBy('user_id').window(sliding('30m', '1m')).aggregate(count())
   */
  window(assigner: WindowAssigner<T>): WindowedStream<T, K> {
    return new WindowedStream<T, K>(this.builder, this.edges, assigner, false)
  }

  /**
   * With another stream of the same key: one function, shared state. With a broadcast stream: broadcast state.
   *
   * @example
   * orders.keyBy('order_id').connect(payments.keyBy('order_id')).process({ state: { order: value<Order>() }, onFirst, onSecond })
   */
  override connect<U>(other: KeyedStream<U, K>): KeyedConnectedStreams<T, U, K>
  override connect<U>(other: BroadcastStream<U>): BroadcastConnectedStreams<T, U, K>
  // Again: where none fits (unlike keys, most likely), tsc shows the last signature, and goes on with the first.
  override connect<U>(other: KeyedStream<U, K>): KeyedConnectedStreams<T, U, K>
  override connect(other: any): any {
    if (other?.builder === undefined)
      throw new PipelineError('connect', `it was given ${describe(other)}`, 'Give it another stream')
    this.builder.sameAs(other.builder, 'connect')
    if (other.kind === 'broadcast') return new BroadcastConnectedStreams(this, other)
    this.checkOther(other, 'connect')
    return new KeyedConnectedStreams(this, other)
  }

  /**
   * Enriches each record with the latest value of another stream for its key. `event` (default): the latest as of the record's own time, once the
   * watermark has passed it (Flink's event-time temporal join), so the result does not depend on the order of arrival. `arrival`: at once,
   * whatever arrived last. `ttl`: a value older than this is no longer joined, and its state goes; without it the latest value of each key stays.
   *
   * @example
   * candidates.joinWith(users, (candidate, user) => ({ ...candidate, user }))
   */
  joinWith<U, R>(
    other: KeyedStream<U, K>,
    join: (left: T, right: U | undefined) => R,
    options: { time?: 'event' | 'arrival'; ttl?: Duration; lateTo?: OutputTag<T> } = {},
  ): KeyedStream<R, K> {
    this.checkOther(other, 'joinWith')
    syncFunction(join, 'joinWith', 'Write joinWith(users, (left, right) => …)')
    const ttlMs = options.ttl === undefined ? undefined : positiveDuration(options.ttl, 'joinWith: ttl')
    const time = options.time ?? 'event'
    if (time !== 'event' && time !== 'arrival')
      throw new PipelineError('joinWith', `time is '${String(time)}'`, "Choose 'event' or 'arrival'")
    const node = this.builder.add({
      type: 'joinWith',
      inputs: [this.edges, other.edges],
      states: joinWithStates(ttlMs),
      create: () => new JoinWithOperator({ join, time, lateTag: options.lateTo }),
      sideOutputs: options.lateTo !== undefined,
      detail: `as of ${time} time${ttlMs === undefined ? '' : `, ttl ${formatDuration(ttlMs)}`}`,
    })
    return this.builder.output(node) as KeyedStream<R, K>
  }

  /**
   * Pairs of records of one key whose times lie within an interval.
   *
   * @example
   * orders.keyBy('id').intervalJoin(payments.keyBy('order_id')).between('-5m', '10m').apply((order, payment) => ({ order, payment }))
   */
  intervalJoin<U>(other: KeyedStream<U, K>): IntervalJoin<T, U, K> {
    return new IntervalJoin(this.builder, this.with(other, 'intervalJoin'))
  }

  /**
   * Pairs of records that share the key: in common windows, or, without them, over the whole history (an inner join).
   *
   * @example
   * auctions.keyBy('seller').join(persons.keyBy('id')).apply((auction, person) => ({ auction: auction.id, seller: person.name }))
   * views.keyBy('item_id').join(purchases.keyBy('item_id')).window(tumbling('1h')).apply((view, purchase) => ({ view, purchase }))
   */
  join<U>(other: KeyedStream<U, K>): Join<T, U, K> {
    return new Join(this.builder, this.with(other, 'join'), 'join')
  }

  /**
   * All records of both streams that share key and window, in one call: outer joins and more.
   *
   * @example
   * views.keyBy('item_id').coGroup(purchases.keyBy('item_id')).window(tumbling('1h'))
   *   .apply((views, purchases, { key }) => [{ item: key, rate: purchases.length / views.length }])
   */
  coGroup<U>(other: KeyedStream<U, K>): WindowJoin<T, U, K, 'coGroup'> {
    return new WindowJoin(this.builder, this.with(other, 'coGroup'), 'coGroup')
  }

  private with(other: KeyedStream<any, K>, operator: string): [readonly Edge[], readonly Edge[]] {
    this.checkOther(other, operator)
    return [this.edges, other.edges]
  }

  private checkOther(other: unknown, operator: string): void {
    if (!(other instanceof KeyedStream)) {
      throw new PipelineError(operator, 'the other stream has no key', 'Call keyBy on it first, with a key of the same type')
    }
    this.builder.sameAs(other.builder, operator)
  }

  private changelog(operator: Parameters<Stream<T>['add']>[0]): Changelog<any> {
    return new Changelog(this.add(operator))
  }

  private keyed(operator: Parameters<Stream<T>['add']>[0]): KeyedStream<any, K> {
    return this.add(operator) as KeyedStream<any, K>
  }
}
