import type { LogicalGraph, PipelineOptions } from '../graph/graph.ts'
import { STATE_BACKENDS } from '../state/backend.ts'
import { GraphBuilder, type StreamKit } from './builder.ts'
import { nonEmptyName, oneOf, syncFunction, wholeNumber } from './check.ts'
import { positiveDuration } from './duration.ts'
import { PipelineError } from './error.ts'
import { KeyedStream } from './keyed-stream.ts'
import { checkSchema, type SourceFormat, type SourceOptions, SourceStream } from './source.ts'
import { Stream } from './stream.ts'

const KIT: StreamKit = {
  stream: (builder, edges, node) => new Stream(builder, edges, node),
  keyed: (builder, edges, node) => new KeyedStream(builder, edges, node),
}

/**
 * A pipeline while it is declared, and the default export of its file. It knows its sources and operators; where and how it runs is decided by
 * what runs it.
 */
export class Pipeline {
  readonly name: string
  private readonly builder: GraphBuilder

  constructor(name: string, options: PipelineOptions) {
    this.name = name
    this.builder = new GraphBuilder(name, options, KIT)
  }

  /**
   * Where records come in. `name` is what `millrace run --source NAME=PATH` goes by.
   *
   * @example
   * const events = app.source('events', ndjson(Event), { time: e => e.timestamp, watermark: boundedOutOfOrderness('10s') })
   */
  source<T>(name: string, format: SourceFormat<T>, options: SourceOptions<NoInfer<T>>): SourceStream<T> {
    nonEmptyName(name, 'source')
    this.builder.checkName('source', name)
    const operator = `source '${name}'`
    // Splits are kept by source, in their order: JavaScript puts such names in front.
    if (/^\d+$/.test(name)) throw new PipelineError(operator, 'its name is a number', `Give it a letter, like 'source${name}'`)
    checkSchema(format?.schema, operator)
    syncFunction(options?.time, operator, 'Tell it the time of an event, in epoch ms: { time: e => e.timestamp }')
    if (typeof options.watermark?.create !== 'function') {
      throw new PipelineError(
        operator,
        'it has no watermark strategy',
        "Give it { watermark: boundedOutOfOrderness('10s') }, or monotonous()",
      )
    }
    const idleAfter =
      options.idleAfter === undefined
        ? options.watermark.idleAfter
        : positiveDuration(options.idleAfter, `${operator}: idleAfter`)
    const node = this.builder.add({
      type: 'source',
      name,
      inputs: [],
      stateless: true,
      sideOutputs: true,
      fixedParallelism: 'A source has a subtask for each of its splits: set the parallelism of an operator behind it',
      source: {
        name,
        connector: format.connector,
        schema: format.schema as never,
        timestamp: options.time,
        watermark: { ...options.watermark, create: () => options.watermark.create(name), idleAfter },
      },
      detail: format.connector?.describe(),
    })
    return new SourceStream<T>(this.builder, [{ from: node, output: 'out', exchange: { kind: 'forward' } }], node)
  }

  /** The logical graph as declared so far: what planner and engines start from. */
  graph(): LogicalGraph {
    const graph = this.builder.graph()
    if (graph.nodes.length === 0) {
      throw new PipelineError(`pipeline '${this.name}'`, 'it has no source', "Start with app.source('events', ndjson(Event), …)")
    }
    return graph
  }
}

/**
 * A new pipeline. Export it as default from its file: importing the file declares the pipeline and runs nothing.
 *
 * @example
 * const app = pipeline('views', { parallelism: 4 })
 * app.source('events', ndjson(Event), { time: e => e.timestamp, watermark: boundedOutOfOrderness('10s') })
 *   .keyBy('item_id')
 *   .window(tumbling('1m'))
 *   .aggregate(count(), (views, { key, window }) => ({ item: key, views, until: window.end }))
 *   .sink('views', print())
 * export default app
 */
export function pipeline(name: string, options: PipelineOptions = {}): Pipeline {
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name)) {
    throw new PipelineError(`pipeline '${String(name)}'`, "its name can't be used", 'Use 1 to 64 letters, digits, _ or -')
  }
  const operator = `pipeline '${name}'`
  const { parallelism, keyGroups, watermarkStep, stateBackend } = options
  if (keyGroups !== undefined) wholeNumber(keyGroups, 1, operator, 'keyGroups')
  if (parallelism !== undefined) wholeNumber(parallelism, 1, operator, 'parallelism')
  if (watermarkStep !== undefined) wholeNumber(watermarkStep, 0, operator, 'watermarkStep (ms)')
  if (stateBackend !== undefined) oneOf(stateBackend, STATE_BACKENDS, operator, 'stateBackend')
  return new Pipeline(name, { ...options })
}
