import type { Shape, ShapeOperator } from '../graph/shape.ts'
import { stateOfText } from '../graph/state-text.ts'
import type { Blobs } from '../ports.ts'
import { emptyHead, type HeadFields, sumOf } from '../protocol/item.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { splitAddress } from '../snapshot/item.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { operatorOf } from '../state/address.ts'
import type { Beginning } from './beginning.ts'
import { carriedFrames, routesOf } from './carry-frames.ts'
import { spaceIn } from './fold.ts'
import type { Manifest, SubtaskSnapshot } from './manifest.ts'
import { StateMismatchError } from './run-meta.ts'

/**
 * How the subtasks of another plan begin with a checkpoint: each operator that is still there has its state, wherever it ran; a source goes on where it was, and so does a sink.
 *
 * A stage's watermark is the lowest of those that its operators come from, and rises with the first barrier, which every producer sends: what producers were heard to be at means
 * nothing where they are others.
 *
 * @throws SnapshotError where records were on their way between operators that have no such edge any more
 */
export async function carriedOver(manifest: Manifest, topology: Topology, from: Pick<Blobs, 'get'>): Promise<Beginning[]> {
  const former: Shape = JSON.parse(manifest.shape)
  const shape: Shape = JSON.parse(topology.shape)
  const homes = stagesOf(former)
  const frames = await framesBySubtask(manifest, former, topology, from)
  const counted = new Set<number>()
  return topology.stages.flatMap(at => {
    const { index } = at.stage
    // Stateless ones may be in several stages, and have nothing that could be carried over.
    const kept = shape.stages[index]!.operators.filter(o => keepsSomething(o) && homes.has(o.id))
    const stages = [...new Set(kept.map(o => homes.get(o.id)!))].sort((a, b) => a - b)
    const counts = stages.filter(s => !counted.has(s))
    for (const s of counts) counted.add(s)
    const takes = takesOnly(kept, former)
    for (const s of stages) checkParallelism(manifest, s, at)
    return Array.from({ length: at.parallelism }, (_, shard): Beginning => {
      const origins = manifest.subtasks.filter(s => stages.includes(s.stage) && s.shard === shard)
      const head = headOf(origins, at, former, o => counts.includes(o.stage))
      const states = origins.map(snapshot => ({ snapshot, space: spaceIn(manifest, snapshot) }))
      const version = Math.max(1, ...origins.map(o => o.version))
      const channelState = frames.flatMap(f => (f.shard === shard ? (f.byStage.get(index) ?? []) : []))
      return { stage: index, shard, version, head, channelState, states, takes }
    })
  })
}

/** What was on its way to each of the former subtasks, by stage of the new plan. */
async function framesBySubtask(manifest: Manifest, former: Shape, topology: Topology, from: Pick<Blobs, 'get'>) {
  const shape: Shape = JSON.parse(topology.shape)
  const now = stagesOf(shape)
  const routes = routesOf(former, shape, id => stagesOf(former).has(id) && !now.has(id))
  const all: { shard: number; byStage: ReadonlyMap<number, Uint8Array> }[] = []
  for (const s of manifest.subtasks) {
    const byStage = await carriedFrames(s, routes, from)
    for (const stage of byStage.keys()) checkParallelism(manifest, s.stage, topology.stages[stage]!)
    all.push({ shard: s.shard, byStage })
  }
  return all
}

/** Subtask i takes over from subtask i. */
function checkParallelism({ subtasks }: Manifest, former: number, { stage, parallelism }: StageTopology): void {
  const had = subtasks.filter(s => s.stage === former).length
  if (had !== parallelism)
    throw new StateMismatchError(
      `stage ${stage.id} takes over the state of ${had} ${had === 1 ? 'subtask' : 'subtasks'} and has a parallelism of ${parallelism}: change the parallelism and the operators one after the other`,
    )
}

/** Where each operator was that keeps something: in one stage only. */
function stagesOf({ stages }: Shape): Map<string, number> {
  return new Map(stages.flatMap((stage, i) => stage.operators.filter(keepsSomething).map(o => [o.id, i] as const)))
}

function keepsSomething({ type, key, states }: ShapeOperator): boolean {
  return type === 'source' || type === 'sink' || key !== undefined || states.length > 0
}

/** Entries of these operators and of states that they still have; timers are theirs whatever they keep. */
function takesOnly(kept: readonly ShapeOperator[], former: Shape): (address: string) => boolean {
  const ids = former.stages.flatMap(s => s.operators.filter(keepsSomething).map(o => o.id))
  const states = new Map(kept.map(o => [o.id, o.states.map(stateOfText)]))
  return address => {
    const { pk, sk } = splitAddress(address)
    const id = operatorOf(pk, ids)
    if (id === undefined) throw new SnapshotError(`the checkpoint has state at ${JSON.stringify(pk)}, which is no operator's`)
    const known = states.get(id)
    if (known === undefined) return false
    if (pk.startsWith(`${id}|timers|`)) return true
    return known.some(s => (s.primitive === 'map' ? sk.startsWith(`m|${s.name}|`) : sk === `v|${s.name}`))
  }
}

/** Of a subtask whose operators were in `origins`, subtasks of several stages. */
function headOf(
  origins: readonly SubtaskSnapshot[],
  { stage }: StageTopology,
  former: Shape,
  counts: (origin: SubtaskSnapshot) => boolean,
): HeadFields {
  const idOf = (of: StageTopology['stage']['nodes'][number]) => stage.ids.get(of)!
  if (origins.some(o => o.head.firing.length > 0))
    throw new SnapshotError('the checkpoint was taken while timers were firing: start from another one')
  const sinkIds = (index: number) => former.stages[index]!.operators.filter(o => o.type === 'sink').map(o => o.id)
  const sinks = stage.nodes.filter(n => n.sink !== undefined).map(idOf)
  const taken = origins.flatMap(o => o.head.sinks.map(([i, state]) => [sinks.indexOf(sinkIds(o.stage)[i]!), state] as const))
  const source = stage.source === undefined ? undefined : origins[0]?.head
  const timers = origins.flatMap(o => o.head.timerAt ?? [])
  return {
    ...emptyHead,
    source: source?.source,
    sourceDone: source?.sourceDone ?? false,
    ...(source?.heardAt !== undefined && { heardAt: source.heardAt }),
    ...(source?.takesFrom !== undefined && { takesFrom: source.takesFrom }),
    watermark: origins.length === 0 ? emptyHead.watermark : Math.min(...origins.map(o => o.head.watermark)),
    sinks: taken.filter(([index]) => index >= 0),
    counts: sumOf(origins.filter(counts).map(o => o.head.counts)),
    ...(timers.length > 0 && { timerAt: Math.min(...timers) }),
  }
}
