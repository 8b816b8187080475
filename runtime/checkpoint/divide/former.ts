import { type EdgeHeirs, edgeHeirs, edgesOf, type NumberedEdge } from '../../graph/edge-heirs.ts'
import { heirsOf, type KeyRange, keyRangeOf } from '../../graph/key-ranges.ts'
import type { StageEdge } from '../../graph/plan.ts'
import type { Shape, ShapeOperator } from '../../graph/shape.ts'
import { SnapshotError } from '../../snapshot/error.ts'
import { overlap } from '../../stage/layout.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Manifest, SubtaskSnapshot } from '../manifest.ts'

/** An edge of the former run. */
export interface FormerEdge extends NumberedEdge {
  /** Those that carry its records now. */
  readonly heirs: readonly StageEdge[]
  /** An operator that its records were to go to, and to which none of them leads. One whose state is dropped may lose its input too. */
  readonly lost: string | undefined
}

export interface FormerStage {
  readonly index: number
  readonly isSource: boolean
  /** How many subtasks it began with: producers are numbered by that. */
  readonly parallelism: number
  /** As of the cut, in order of their key groups; of a source, of its splits. */
  readonly subtasks: readonly FormerSubtask[]
  /** Those whose shards were split or merged before that, oldest first. */
  readonly ended: readonly FormerSubtask[]
}

export interface FormerSubtask extends SubtaskSnapshot {
  /** Its key groups. Of a source's all: it has none. */
  readonly range: KeyRange
}

/** The run that a checkpoint was taken of, as another one sees it that starts from there with other stages, or other numbers of subtasks. */
export interface Former {
  readonly manifest: Manifest
  readonly topology: Topology
  readonly shape: Shape
  readonly stages: readonly FormerStage[]
  /** By id. */
  readonly edges: readonly FormerEdge[]
  /** For each stage of the new run, by index, the former stages that it takes over from: where operators of it were that keep something, or that what is on its way to it now was on its way to. */
  readonly origins: readonly (readonly FormerStage[])[]
}

/** @throws SnapshotError when the checkpoint does not say who had which keys */
export function formerOf(manifest: Manifest, topology: Topology): Former {
  const shape: Shape = JSON.parse(manifest.shape)
  const wanted: Shape = JSON.parse(topology.shape)
  const stages = shape.stages.map((_, index) => formerStage(manifest, shape, index))
  const heirs = edgeHeirs(shape, wanted)
  const now = topology.plan.stages.flatMap(s => s.inputs)
  const kept = new Set(wanted.stages.flatMap(s => s.operators.filter(keepsSomething).map(o => o.id)))
  const dropped = new Set(shape.stages.flatMap(s => s.operators.filter(o => keepsSomething(o) && !kept.has(o.id)).map(o => o.id)))
  const edges = edgesOf(shape).map((edge): FormerEdge => {
    const { edges: mine, lost }: EdgeHeirs = heirs.get(edge.id)!
    return { ...edge, heirs: mine.map(heir => now[heir]!), lost: lost.find(operator => !dropped.has(operator)) }
  })
  const origins = topology.stages.map(at => originStages(stages, edges, shape, wanted, at))
  return { manifest, topology, shape, stages, edges, origins }
}

function formerStage({ subtasks, checkpoint, run }: Manifest, { stages, keyGroups }: Shape, index: number): FormerStage {
  const { id, parallelism } = stages[index]!
  const mine = subtasks.filter(s => s.stage === index).sort((a, b) => a.shard - b.shard)
  const isSource = parallelism === undefined
  const all = mine.map((s): FormerSubtask => {
    if (s.groups !== undefined) return { ...s, range: { from: s.groups[0], to: s.groups[1] } }
    return { ...s, range: isSource ? { from: 0, to: keyGroups } : keyRangeOf(s.shard, keyGroups, mine.length) }
  })
  const [ended, open] = [all.filter(s => s.ended), all.filter(s => !s.ended)]
  if (!isSource) {
    open.sort((a, b) => a.range.from - b.range.from)
    const whole = open.every(({ range }, i) => range.from === (open[i - 1]?.range.to ?? 0)) && open.at(-1)?.range.to === keyGroups
    if (!whole)
      throw new SnapshotError(
        `checkpoint ${checkpoint} of run ${run} does not say which subtask of stage ${id} has which keys: take another one, with this version of Millrace`,
      )
  }
  return { index, isSource, parallelism: parallelism ?? mine.length, subtasks: open, ended }
}

function keepsSomething({ type, key, states }: ShapeOperator): boolean {
  return type === 'source' || type === 'sink' || key !== undefined || states.length > 0
}

function originStages(
  stages: readonly FormerStage[],
  edges: readonly FormerEdge[],
  shape: Shape,
  wanted: Shape,
  { stage: { index, source, ids } }: StageTopology,
): FormerStage[] {
  const shared = (of: FormerStage, wants: (operator: ShapeOperator) => boolean) => {
    const here = new Set(wanted.stages[index]!.operators.filter(wants).map(o => o.id))
    return shape.stages[of.index]!.operators.some(o => wants(o) && here.has(o.id))
  }
  if (source !== undefined) {
    const id = ids.get(source)!
    return stages.filter(s => s.isSource && shape.stages[s.index]!.operators.some(o => o.id === id))
  }
  const found = stages.filter(
    s => shared(s, keepsSomething) || edges.some(e => e.toStage === s.index && e.heirs.some(heir => heir.toStage === index)),
  )
  // Stateless ones may be in several stages, and have nothing that could be taken over but how far they had come.
  return found.length > 0 ? found : stages.filter(s => !s.isSource && shared(s, () => true))
}

/** Of a former stage, whose place a subtask takes: those that had any of its key groups. The first of them had the first of these. */
export function originsIn({ topology }: Former, stage: FormerStage, to: StageTopology, shard: number): FormerSubtask[] {
  if (to.stage.source !== undefined) return stage.subtasks.filter(s => s.shard === shard)
  const range = keyRangeOf(shard, topology.plan.options.keyGroups, to.parallelism)
  return stage.subtasks.filter(s => overlap(s.range, range))
}

/** Of all former stages. */
export function originsFor(former: Former, to: StageTopology, shard: number): FormerSubtask[] {
  return former.origins[to.stage.index]!.flatMap(stage => originsIn(former, stage, to, shard))
}

/** Who has got key groups of a former subtask: the first of them takes what has no key. */
export function heirsIn({ topology }: Former, { shard, range }: FormerSubtask, to: StageTopology): number[] {
  if (to.stage.source !== undefined) return [shard]
  return heirsOf(range, topology.plan.options.keyGroups, to.parallelism)
}

/** Whose watermarks counted for a subtask of the former run; producers as that numbered them. */
export function formerProducers({ stages, edges }: Former, { stage, shard, head }: SubtaskSnapshot): readonly number[] {
  if (head.producers !== undefined) return head.producers
  const inputs = edges.filter(e => e.toStage === stage)
  return [...new Set(inputs.map(e => e.fromStage))].flatMap(from => {
    const first = stages.slice(0, from).reduce((n, s) => n + s.parallelism, 0)
    const { parallelism } = stages[from]!
    const own = inputs.filter(e => e.fromStage === from).every(keepsRecords)
    if (own && parallelism === stages[stage]!.parallelism) return [first + shard]
    return Array.from({ length: parallelism }, (_, i) => first + i)
  })
}

/** Records of it stay with their subtask, where there are as many on both sides. */
function keepsRecords({ exchange, heirs: [heir] }: FormerEdge): boolean {
  return exchange === 'forward' || (heir?.exchange.kind === 'key' && heir.exchange.inherited)
}
