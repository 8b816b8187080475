import type { OperatorNode } from '../graph/graph.ts'
import type { PhysicalStage } from '../graph/plan.ts'
import { KeyedOperator } from '../operators/keyed-operator.ts'

export interface KeyedNode {
  readonly operatorId: string
  readonly node: OperatorNode
}

const cache = new WeakMap<PhysicalStage, readonly KeyedNode[]>()

/** The operators of a stage that keep keyed state or timers, in the order in which chunks number them. */
export function keyedNodes(stage: PhysicalStage): readonly KeyedNode[] {
  let nodes = cache.get(stage)
  if (nodes === undefined) {
    nodes = stage.nodes
      .filter(node => node.create !== undefined && node.create() instanceof KeyedOperator)
      .map(node => ({ node, operatorId: stage.ids.get(node)! }))
    cache.set(stage, nodes)
  }
  return nodes
}
