import type { Sink } from '../connectors/sink.ts'
import type { Edge, OperatorNode } from '../graph/graph.ts'
import { SinkOperator } from '../operators/sink.ts'
import type { GraphBuilder } from './builder.ts'
import { nonEmptyName, wholeNumber } from './check.ts'
import { PipelineError } from './error.ts'

/** A sink at the end of a stream, or of a table's changes. */
export function addSink<T>(
  builder: GraphBuilder,
  edges: readonly Edge[],
  name: string,
  sink: Sink<any>,
  options: { readonly changelog?: boolean } = {},
): SinkHandle<T> {
  nonEmptyName(name, 'sink')
  builder.checkName('sink', name)
  if (typeof sink?.open !== 'function') {
    throw new PipelineError(
      `sink '${name}'`,
      'it has nowhere to write',
      "Write sink('results', print()), or fileSink('results.ndjson')",
    )
  }
  const node = builder.add({
    type: 'sink',
    name,
    inputs: [edges],
    sink: { name, sink, ...options },
    create: () => new SinkOperator(),
    detail: sink.describe(),
  })
  return new SinkHandle(builder, node)
}

/** The end of a stream: only its settings are left. `T`: what the sink is given. */
export class SinkHandle<T = unknown> {
  /** Carries the type only. */
  declare readonly valueType?: () => T
  private readonly builder: GraphBuilder
  /** @internal */
  readonly node: OperatorNode

  constructor(builder: GraphBuilder, node: OperatorNode) {
    this.builder = builder
    this.node = node
  }

  /** The sink's identity in state and savepoints; see Stream.uid. */
  uid(uid: string): this {
    this.builder.setUid(this.node, uid)
    return this
  }

  /** What plans, metrics and errors call the sink; `--sink NAME=PATH` goes by the name given to `sink()`. */
  name(name: string): this {
    this.node.name = nonEmptyName(name, 'name')
    return this
  }

  /** Subtasks that write. One writer gives one total order in a file. */
  parallelism(subtasks: number): this {
    this.builder.setParallelism(
      this.node,
      wholeNumber(subtasks, 1, `parallelism of sink '${this.node.name}'`, 'the number of subtasks'),
    )
    return this
  }
}
