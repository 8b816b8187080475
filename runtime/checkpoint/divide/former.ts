import { edgeHeirs, edgesOf, type NumberedEdge } from '../../graph/edge-heirs.ts'
import { heirsOf } from '../../graph/key-ranges.ts'
import type { StageEdge } from '../../graph/plan.ts'
import type { Shape } from '../../graph/shape.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Manifest, SubtaskSnapshot } from '../manifest.ts'
import { StateMismatchError } from '../run-meta.ts'

/** An edge of the former run. */
export interface FormerEdge extends NumberedEdge {
  /** Those that carry its records now. */
  readonly heirs: readonly StageEdge[]
}

export interface FormerStage {
  readonly index: number
  readonly isSource: boolean
  /** By shard. */
  readonly subtasks: readonly SubtaskSnapshot[]
  /** The stages that have its operators now, in the order of the plan. */
  readonly heirs: readonly StageTopology[]
}

/** The run that a checkpoint was taken of, as another one sees it that starts from there with other numbers of subtasks. */
export interface Former {
  readonly manifest: Manifest
  readonly topology: Topology
  readonly stages: readonly FormerStage[]
  /** By id. */
  readonly edges: readonly FormerEdge[]
}

/** @throws StateMismatchError when the two are not of the same operators (graph/edge-heirs.ts) */
export function formerOf(manifest: Manifest, topology: Topology): Former {
  const [was, is]: [Shape, Shape] = [JSON.parse(manifest.shape), JSON.parse(topology.shape)]
  const heirs = edgeHeirs(was, is)
  if (heirs === undefined)
    throw new StateMismatchError(`checkpoint ${manifest.checkpoint} has records on their way that no stage takes any more`)
  const now = topology.plan.stages.flatMap(s => s.inputs)
  const ids = topology.stages.map(at => new Set(at.stage.ids.values()))
  const stages = was.stages.map(({ id, operators, parallelism }, index): FormerStage => {
    const isSource = parallelism === undefined
    return {
      index,
      isSource,
      subtasks: manifest.subtasks.filter(s => s.stage === index).sort((a, b) => a.shard - b.shard),
      // A source's subtasks are its splits: what else has moved out of its stage, or into it, has no state.
      heirs: topology.stages.filter(({ stage }, i) =>
        isSource || stage.source !== undefined ? stage.id === id : operators.some(o => ids[i]!.has(o.id)),
      ),
    }
  })
  const edges = edgesOf(was).map(edge => ({ ...edge, heirs: heirs.get(edge.id)!.map(heir => now[heir]!) }))
  return { manifest, topology, stages, edges }
}

/** Whose key groups a subtask has got of a former stage: the first of them had the first of these. */
export function originsOf({ topology }: Former, stage: FormerStage, to: StageTopology, shard: number): number[] {
  if (to.stage.source !== undefined) return [shard]
  return heirsOf(shard, topology.plan.options.keyGroups, to.parallelism, stage.subtasks.length)
}

/** Who has got key groups of a former subtask: the first of them takes what has no key. */
export function heirsIn({ topology }: Former, stage: FormerStage, shard: number, to: StageTopology): number[] {
  if (to.stage.source !== undefined) return [shard]
  return heirsOf(shard, topology.plan.options.keyGroups, stage.subtasks.length, to.parallelism)
}

/** As Topology.producersOf, of the former run. */
export function formerProducers({ stages, edges }: Former, stage: number, shard: number): number[] {
  const inputs = edges.filter(e => e.toStage === stage)
  return [...new Set(inputs.map(e => e.fromStage))].flatMap(from => {
    const first = stages.slice(0, from).reduce((n, s) => n + s.subtasks.length, 0)
    const { length } = stages[from]!.subtasks
    const own = inputs.filter(e => e.fromStage === from).every(keepsRecords)
    if (own && length === stages[stage]!.subtasks.length) return [first + shard]
    return Array.from({ length }, (_, i) => first + i)
  })
}

/** Records of it stay with their subtask, where there are as many on both sides. */
function keepsRecords({ exchange, heirs: [heir] }: FormerEdge): boolean {
  return exchange === 'forward' || (heir!.exchange.kind === 'key' && heir!.exchange.inherited)
}
