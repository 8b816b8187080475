import type { Edge, LogicalGraph, OperatorNode, PipelineOptions } from '../graph/graph.ts'
import { PipelineError } from './error.ts'
import type { KeyedStream } from './keyed-stream.ts'
import { keyOf } from './keys.ts'
import type { Stream } from './stream.ts'

/** An operator as a fluent method declares it. */
export interface NewOperator extends Omit<OperatorNode, 'index' | 'name' | 'stateless' | 'states'> {
  readonly name?: string
  readonly stateless?: boolean
  readonly states?: OperatorNode['states']
  /** It can't have another parallelism than the given one; the text says why. */
  readonly fixedParallelism?: string
}

/** Makes streams; the fluent classes know each other through it, not by import. */
export interface StreamKit {
  stream(builder: GraphBuilder, edges: readonly Edge[], node: OperatorNode | undefined): Stream<any>
  keyed(builder: GraphBuilder, edges: readonly Edge[], node: OperatorNode | undefined): KeyedStream<any, any>
}

/** Collects the logical graph of one pipeline while its file runs. */
export class GraphBuilder {
  readonly name: string
  readonly options: PipelineOptions
  readonly kit: StreamKit
  private readonly nodes: OperatorNode[] = []
  private readonly fixedParallelism = new Map<OperatorNode, string>()
  private readonly uids = new Map<string, OperatorNode>()

  constructor(name: string, options: PipelineOptions, kit: StreamKit) {
    this.name = name
    this.options = options
    this.kit = kit
  }

  graph(): LogicalGraph {
    return { name: this.name, options: this.options, nodes: this.nodes }
  }

  add(operator: NewOperator): OperatorNode {
    const { fixedParallelism, ...rest } = operator
    const key = 'key' in operator ? operator.key : keyOf(operator.inputs[0] ?? [])
    const node: OperatorNode = {
      ...rest,
      index: this.nodes.length,
      name: operator.name ?? operator.type,
      stateless: operator.stateless ?? false,
      states: operator.states ?? [],
      key,
    }
    this.nodes.push(node)
    if (fixedParallelism !== undefined) this.fixedParallelism.set(node, fixedParallelism)
    return node
  }

  /** The stream of an operator's results, or of a side output. It runs under the operator's key, if that has one. */
  output(node: OperatorNode, output = 'out'): Stream<any> {
    const key = node.key
    const exchange: Edge['exchange'] = key === undefined ? { kind: 'forward' } : { kind: 'key', key, inherited: true }
    const edges = [{ from: node, output, exchange }]
    return key === undefined ? this.kit.stream(this, edges, node) : this.kit.keyed(this, edges, node)
  }

  sideOutput(node: OperatorNode, tag: string): Stream<any> {
    if (node.sideOutputs !== true) {
      throw new PipelineError(
        label(node),
        `it has no side output '${tag}'`,
        'Side outputs come from process, mapAsync with onFailure, windows and joins with lateTo: read them right behind those',
      )
    }
    return this.output(node, tag)
  }

  setUid(node: OperatorNode, uid: string): void {
    if (typeof uid !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(uid)) {
      throw new PipelineError(label(node), `the uid '${uid}' can't be used`, 'Use 1 to 100 letters, digits, _, . or -')
    }
    const other = this.uids.get(uid)
    if (other !== undefined && other !== node) {
      throw new PipelineError(
        label(node),
        `the uid '${uid}' is taken by ${label(other)}`,
        'State is addressed by it: give each operator its own',
      )
    }
    if (node.uid !== undefined) this.uids.delete(node.uid)
    this.uids.set(uid, node)
    node.uid = uid
  }

  setParallelism(node: OperatorNode, parallelism: number): void {
    const fixed = this.fixedParallelism.get(node)
    if (fixed !== undefined && parallelism !== node.parallelism) {
      throw new PipelineError(label(node), `its parallelism can't be set to ${parallelism}`, fixed)
    }
    node.parallelism = parallelism
  }

  /** The names of sources, or of sinks, are what `--source NAME=PATH` and `--sink NAME=PATH` go by. */
  checkName(kind: 'source' | 'sink', name: string): void {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(name)) {
      throw new PipelineError(`${kind} '${name}'`, "its name can't be used", 'Use 1 to 100 letters, digits, _, . or -')
    }
    if (this.nodes.some(node => node[kind]?.name === name)) {
      throw new PipelineError(`${kind} '${name}'`, `there is already a ${kind} of this name`, `Give each ${kind} its own name`)
    }
  }

  sameAs(other: GraphBuilder, operator: string): void {
    if (other === this) return
    throw new PipelineError(
      operator,
      `it brings together streams of two pipelines, '${this.name}' and '${other.name}'`,
      'Build both streams from the same pipeline()',
    )
  }
}

/** Records stay where they are, under whatever key they have. */
export function forward(edge: Edge): Edge {
  return { from: edge.from, output: edge.output, exchange: { kind: 'forward' } }
}

/** An operator in an error. */
export function label(node: OperatorNode): string {
  return node.name === node.type ? node.type : `${node.type} '${node.name}'`
}
