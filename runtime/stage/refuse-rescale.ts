import { MillraceError } from '../errors.ts'
import type { Edge } from '../graph/graph.ts'
import type { PhysicalStage } from '../graph/plan.ts'
import { isVerified } from '../graph/planner.ts'
import type { Topology } from './topology.ts'

/** @throws MillraceError for a stage whose shards can't be split or merged while its run is on */
export function refuseRescale({ stateBackend, plan }: Pick<Topology, 'stateBackend' | 'plan'>, stage: number): void {
  if (stateBackend.kind === 'segments')
    throw new MillraceError(`a run with the state backend 'segments' can't be rescaled while it runs: use 'table'`)
  const { id, nodes, ids } = plan.stages[stage]!
  const joined = joinedIn(plan.stages[stage]!)
  if (joined !== undefined)
    throw new MillraceError(
      `stage '${id}' can't have more subtasks than one while it runs: ${ids.get(nodes.find(n => n.inputs.flat().includes(joined))!)} gets its records under another key than ${ids.get(joined.from)}, in the same subtask. That takes a new run, from a checkpoint`,
    )
}

/** Where there is one subtask, records come under their next key without a cut between two stages. */
function joinedIn({ nodes }: PhysicalStage): Edge | undefined {
  const inside = nodes.flatMap(node => node.inputs.flat().filter(edge => nodes.includes(edge.from)))
  return inside.find(edge => {
    const { exchange } = edge
    return exchange.kind === 'broadcast' || (exchange.kind === 'key' && !exchange.inherited && !isVerified(edge))
  })
}
