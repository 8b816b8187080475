import assert from 'node:assert/strict'
import type { LogicalGraph, OperatorNode } from '../../runtime/graph/graph.ts'
import type { PhysicalPlan, PhysicalStage } from '../../runtime/graph/plan.ts'
import { sameKey } from '../../runtime/graph/same-key.ts'

/** What must hold of every plan, whatever the graph. */
export function checkPlan(graph: LogicalGraph, plan: PhysicalPlan): void {
  const stagesOf = (node: OperatorNode) => plan.stages.filter(stage => stage.nodes.includes(node))
  plan.stages.forEach((stage, i) => {
    assert.equal(stage.index, i)
    assert.ok(stage.nodes.length > 0, 'no stage is empty')
    assert.ok(
      stage.inputs.every(e => e.fromStage < i),
      'stages are in topological order, so there is no cycle',
    )
    assert.ok(stage.source === undefined || (stage.inputs.length === 0 && stage.nodes[0] === stage.source))
  })
  const edges = plan.stages.flatMap(s => s.inputs)
  assert.deepEqual(
    edges.map(e => e.id).sort((a, b) => a - b),
    edges.map((_, i) => i),
  )
  assert.deepEqual(new Set(plan.stages.flatMap(s => s.outputs)), new Set(edges))
  assert.equal(new Set(plan.stages.map(s => s.id)).size, plan.stages.length, 'stage ids are unique')
  for (const node of graph.nodes) {
    const homes = stagesOf(node)
    assert.ok(homes.length === 1 || (homes.length > 1 && node.stateless), `${node.type} is placed, once unless it is stateless`)
    for (const home of homes) checkInputs(node, home, plan, stagesOf)
    if (node.parallelism !== undefined) assert.ok(homes.every(h => h.source === undefined && h.parallelism === node.parallelism))
  }
}

/** Every copy of an upstream operator reaches exactly one copy of this one, in the stage or by one stage edge. */
function checkInputs(
  node: OperatorNode,
  home: PhysicalStage,
  plan: PhysicalPlan,
  stagesOf: (n: OperatorNode) => PhysicalStage[],
) {
  node.inputs.forEach((list, input) => {
    for (const edge of list) {
      for (const upstream of stagesOf(edge.from)) {
        const crossing = home.inputs.filter(
          e =>
            e.fromStage === upstream.index &&
            e.fromNode === edge.from &&
            e.targets.some(t => t.node === node && t.input === input) &&
            e.output === edge.output,
        )
        if (upstream === home) {
          assert.equal(crossing.length, 0)
          checkLocal(edge, home)
        } else if (stagesOf(node).includes(upstream)) assert.equal(crossing.length, 0, 'the copy over there takes it')
        else assert.ok(crossing.length >= 1, `${edge.from.type} in stage ${upstream.index} reaches ${node.type}`)
        for (const e of crossing) {
          if (edge.exchange.kind === 'key') assert.equal(e.exchange.kind, 'key', 'a keyed record never loses its way')
        }
      }
    }
  })
  assert.ok(plan.stages.includes(home))
}

/** Within a stage of several subtasks nothing may need repartitioning. */
function checkLocal(edge: OperatorNode['inputs'][number][number], home: PhysicalStage) {
  const { exchange } = edge
  if (exchange.kind === 'forward') return
  const alone = home.source === undefined && home.parallelism === 1
  if (exchange.kind === 'broadcast') assert.ok(alone)
  else if (!exchange.inherited && !home.verified.has(edge)) assert.ok(alone, 're-keyed in place with several subtasks')
  else if (!exchange.inherited) assert.ok(sameKey(edge.from.key!, exchange.key))
  if (exchange.kind === 'key') assert.equal(home.source, undefined, 'no keyed operator runs where splits decide the subtasks')
}
