import type { PhysicalStage } from '../graph/plan.ts'
import type { Topology } from '../stage/topology.ts'

/** Whose log it is that has this name: what Topology.log has made of them. */
export function subtaskOf(topology: Topology, log: string): { readonly stage: PhysicalStage; readonly shard: number } {
  const [, id, shard] = log.split('/')
  const { stage } = topology.stages.find(s => s.stage.id === id)!
  return { stage, shard: Number(shard) }
}
