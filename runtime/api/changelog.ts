import type { Sink } from '../connectors/sink.ts'
import type { Edge } from '../graph/graph.ts'
import { type Key, userKey } from '../graph/key.ts'
import type { Change } from '../operators/change.ts'
import { RUNNING_AGGREGATE_STATES, RunningAggregateOperator } from '../operators/running-aggregate.ts'
import type { Aggregate } from './aggregate.ts'
import type { GraphBuilder } from './builder.ts'
import { syncFunction } from './check.ts'
import { PipelineError } from './error.ts'
import { type KeyField, type KeyFields, type KeyOfFields, keySpec } from './keys.ts'
import { addSink, type SinkHandle } from './sink.ts'
import { stateSchema } from './state-schema.ts'
import type { Stream } from './stream.ts'

/**
 * A table that changes with each record, as Flink SQL's results without windows do: rows are inserted, replaced and deleted. What runningTopN,
 * latest and aggregate give without a window. Functions on rows have to be pure: a row is taken back by the same function of it.
 */
export class Changelog<T> {
  private readonly stream: Stream<Change<T>>

  constructor(stream: Stream<Change<T>>) {
    this.stream = stream
  }

  /**
   * One row in, one row out.
   *
   * @example
   * bids.keyBy('auction').runningTopN(1, { by: ['-price'] }).map(({ value }) => ({ auction: value.auction, highest: value.price }))
   */
  map<R>(fn: (row: T) => R): Changelog<R> {
    syncFunction(fn, 'map', 'Write map(row => row.price)')
    return new Changelog(this.stream.map(({ kind, row }) => ({ kind, row: fn(row) })))
  }

  /**
   * Keeps the rows for which the predicate is true.
   *
   * @example
   * bids.keyBy('auction').runningTopN(1, { by: ['-price'] }).filter(({ value }) => value.price > 100)
   */
  filter(predicate: (row: T) => boolean): Changelog<T> {
    syncFunction(predicate, 'filter', 'Write filter(row => row.price > 0)')
    return new Changelog(this.stream.filter(({ row }) => predicate(row)))
  }

  /**
   * Brings the rows with equal keys together, to be aggregated.
   *
   * @example
   * bids.keyBy('auction').latest().keyBy('auction').aggregate(count())
   */
  keyBy<F extends KeyField<T>>(field: F): KeyedChangelog<T, Extract<T[F], Key>>
  keyBy<const F extends readonly [KeyField<T>, ...KeyField<T>[]]>(fields: F): KeyedChangelog<T, KeyOfFields<T, F>>
  keyBy<const K extends Key>(fn: (row: T) => K): KeyedChangelog<T, K>
  // tsc shows the last signature where none fits: it says all that there is, and lists the fields (KeyField<T> would be shown as that).
  keyBy(
    by:
      | (KeyFields<T>[keyof T] & string)
      | readonly [KeyFields<T>[keyof T] & string, ...(KeyFields<T>[keyof T] & string)[]]
      | ((row: T) => Key),
  ): KeyedChangelog<T, Key>
  keyBy(by: unknown): KeyedChangelog<T, any> {
    const { label, of } = keySpec(by)
    const key = { label, of: (change: Change<T>) => of(change.row) }
    const edges = this.stream.edges.map(edge => ({ ...edge, exchange: { kind: 'key', key, inherited: false } as const }))
    return new KeyedChangelog(this.stream.builder, edges)
  }

  /**
   * The changes as records, in order for each key: '+I' a new row; '-U' and '+U' the old and the new form of a row; '-D' a deleted one.
   *
   * @example
   * bids.keyBy('auction').latest().changes().filter(({ kind }) => kind === '-D')
   */
  changes(): Stream<Change<T>> {
    return this.stream
  }

  /** See Stream.uid. */
  uid(uid: string): this {
    this.stream.uid(uid)
    return this
  }

  /** See Stream.name. */
  name(name: string): this {
    this.stream.name(name)
    return this
  }

  /** See Stream.parallelism. */
  parallelism(subtasks: number): this {
    this.stream.parallelism(subtasks)
    return this
  }

  /**
   * Where the changes leave the pipeline. A sink that keeps a table folds them: '+I' and '+U' add a row, '-U' and '-D' take it away. One that upserts by key
   * may pass over '-U': the row's new form follows it, in the same commit.
   *
   * @example
   * bids.keyBy('auction').latest().sink('latest', fileSink('changes.ndjson'))
   */
  sink(name: string, sink: Sink<Change<T>>): SinkHandle<Change<T>> {
    return addSink(this.stream.builder, this.stream.edges, name, sink, { changelog: true })
  }
}

/** A table's rows under a key. */
export class KeyedChangelog<T, K extends Key> {
  private readonly builder: GraphBuilder
  private readonly edges: readonly Edge[]

  constructor(builder: GraphBuilder, edges: readonly Edge[]) {
    this.builder = builder
    this.edges = edges
  }

  /**
   * One row for each key, aggregated of the rows there are; what is replaced or deleted is taken out again, which count, sum and avg can do, and
   * aggregates of your own with `retract`.
   *
   * @example
   * bids.keyBy('auction').latest().keyBy('bidder').aggregate(sum('price'), (spent, { key }) => ({ bidder: key, spent }))
   */
  aggregate<A, O>(aggregate: Aggregate<T, A, O>): Changelog<O>
  aggregate<A, O, R>(aggregate: Aggregate<T, A, O>, fn: (result: O, info: { readonly key: K }) => R): Changelog<R>
  aggregate(aggregate: Aggregate<T, any, any>, fn?: (result: any, info: any) => any): Changelog<any> {
    if (aggregate?.retract === undefined) {
      throw new PipelineError(
        'aggregate',
        'it is to aggregate rows that change, and has no retract to take one out again',
        'Use count, sum or avg, or give your aggregate a function retract(accumulator, row)',
      )
    }
    return runningAggregate(this.builder, this.edges, aggregate, fn, true)
  }
}

export function runningAggregate(
  builder: GraphBuilder,
  edges: readonly Edge[],
  aggregate: Aggregate<any, any, any>,
  fn: ((result: any, info: any) => any) | undefined,
  changes: boolean,
): Changelog<any> {
  for (const part of ['createAccumulator', 'add', 'getResult'] as const) {
    syncFunction(aggregate?.[part], 'aggregate', `Give it count(), sum('price'), or an aggregate with a function ${part}`)
  }
  if (fn !== undefined) syncFunction(fn, 'aggregate', 'Its second argument is (result, { key }) => …')
  const apply = fn === undefined ? (result: any) => result : (result: any, key: any) => fn(result, { key: userKey(key) })
  const schema = stateSchema('aggregate', aggregate)
  const node = builder.add({
    type: 'aggregate',
    inputs: [edges],
    states:
      schema === undefined
        ? RUNNING_AGGREGATE_STATES
        : RUNNING_AGGREGATE_STATES.map(s => ({ ...s, schema: { ...schema, part: 'acc' } })),
    create: () => new RunningAggregateOperator({ aggregate, apply, changes }),
    ...(aggregate.fields !== undefined && !changes ? { reads: { fields: aggregate.fields, passes: false } } : {}),
  })
  return new Changelog(builder.output(node))
}
