import { DEAD_LETTERS } from '../api/source.ts'
import type { LogicalGraph, OperatorNode } from '../graph/graph.ts'
import type { Operator, OperatorContext, Receiver } from '../operators/operator.ts'
import { SinkOperator } from '../operators/sink.ts'
import { copyValue } from '../state/copy.ts'
import type { Collector } from './collector.ts'

/** The output that all side outputs of an operator are seen at, with their tags. */
const ALL = '*'

/** What went to a side output. */
export interface Tapped {
  readonly tag: string
  readonly value: unknown
}

/** The pipeline with a listener at each place that has side outputs, also at those that nobody reads. */
export interface TappedGraph {
  readonly graph: LogicalGraph
  /** Names of the sinks that hear side outputs: their records are `Tapped`. */
  readonly sides: readonly string[]
  /** … and dead letters. */
  readonly deadLetters: readonly string[]
}

/** `'by hand'`: no record moves a watermark. */
export type Watermarks = 'by strategy' | 'by hand'

export function tapped(graph: LogicalGraph, collector: Collector, watermarks: Watermarks): TappedGraph {
  const changed = new Map<OperatorNode, OperatorNode>()
  const nodes = graph.nodes.map(node => {
    const copy = changedNode(node, changed, watermarks)
    changed.set(node, copy)
    return copy
  })
  const sides: string[] = []
  const deadLetters: string[] = []
  for (const node of [...nodes]) {
    if (node.sideOutputs !== true) continue
    const isSource = node.source !== undefined
    const name = `${isSource ? 'dead letters' : 'side outputs'} of ${node.name} (${node.index})`
    ;(isSource ? deadLetters : sides).push(name)
    nodes.push(tap(nodes.length, name, node, isSource ? DEAD_LETTERS.id : ALL, collector))
  }
  return { graph: { ...graph, nodes }, sides, deadLetters }
}

function tap(index: number, name: string, from: OperatorNode, output: string, collector: Collector): OperatorNode {
  return {
    index,
    type: 'sink',
    name,
    inputs: [[{ from, output, exchange: { kind: 'forward' } }]],
    // It goes wherever the operator goes.
    stateless: true,
    states: [],
    sink: { name, sink: collector.sink(name) },
    create: () => new SinkOperator(),
  }
}

function changedNode(node: OperatorNode, changed: ReadonlyMap<OperatorNode, OperatorNode>, watermarks: Watermarks): OperatorNode {
  const inputs = node.inputs.map(edges => edges.map(edge => ({ ...edge, from: changed.get(edge.from)! })))
  const { create, source } = node
  return {
    ...node,
    inputs,
    ...(source !== undefined && watermarks === 'by hand' && { source: { ...source, watermark: unmoved(source.watermark) } }),
    ...(create !== undefined && node.sideOutputs === true && { create: () => listening(create()) }),
  }
}

/** A strategy by which no record moves the watermark. */
function unmoved<T extends object>(strategy: T) {
  return { ...strategy, kind: 'by hand', create: () => ({ onRecord: () => Number.NEGATIVE_INFINITY }) }
}

/** The operator, whose side outputs go to the tap as well. */
function listening(operator: Operator): Operator {
  const open = operator.open.bind(operator)
  operator.open = (ctx: OperatorContext) => open({ ...ctx, side: tag => both(ctx.side(tag), ctx.side(ALL), tag) })
  return operator
}

function both(main: Receiver, all: Receiver, tag: string): Receiver {
  return {
    record(value, timestamp, key) {
      all.record({ tag, value: copyValue(value) } satisfies Tapped, timestamp, key)
      main.record(value, timestamp, key)
    },
    watermark: timestamp => main.watermark(timestamp),
  }
}
