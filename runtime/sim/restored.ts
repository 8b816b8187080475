import { tellJoined } from '../aws/functions/joined.ts'
import { inheritOwners } from '../aws/functions/owners.ts'
import { ownersIn, standingsOf } from '../aws/functions/positions.ts'
import { readManifest } from '../checkpoint/manifest.ts'
import { completeCheckpoints, restore, supersede } from '../checkpoint/restore.ts'
import { openRestored, readRun } from '../checkpoint/run-meta.ts'
import { beginningsFrom } from '../checkpoint/upgrade.ts'
import { blobSink } from '../connectors/blob-sink.ts'
import { canDivide } from '../graph/edge-heirs.ts'
import { planPhysical } from '../graph/planner.ts'
import { shapeOf } from '../graph/shape.ts'
import { SegmentCache } from '../snapshot/segment-cache.ts'
import { Topology } from '../stage/topology.ts'
import { TABLE } from '../state/backend.ts'
import type { Dice } from './random.ts'
import type { World } from './world.ts'

/** A checkpoint of a world's run that another run can start from. */
export async function checkpointOf({ ports }: World, dice: Dice): Promise<number> {
  const { run } = (await readRun(ports))!
  return chooseFrom(await completeCheckpoints(ports, run), run, ports, dice)
}

/** One of `checkpoints`: half the time the one that has most channel state. The last ones have none, as nothing is on its way by then. */
export async function chooseFrom(
  checkpoints: readonly number[],
  run: string,
  { blobs }: World['ports'],
  dice: Dice,
): Promise<number> {
  const any = dice.pick(checkpoints)
  if (dice.chance(0.5)) return any
  let [most, chosen] = [0, any]
  for (const n of checkpoints) {
    const manifest = await readManifest(blobs, run, n).catch(() => undefined) // retention was faster
    const kept = manifest?.subtasks.reduce((sum, s) => sum + s.channelState.length, 0) ?? 0
    if (kept > most) [most, chosen] = [kept, n]
  }
  return chosen
}

/** Whether a world's run can go on with so many subtasks: with one, stages may be one that were several (graph/plan-for.ts), and a stack has its stages. */
export function canRescale({ plan, app }: Pick<World, 'plan' | 'app'>, parallelism: number): boolean {
  return canDivide(shapeOf(plan), shapeOf(planPhysical(app.graph(), { parallelism })))
}

/** A new run in the place of a world's, from one of its checkpoints. What the old one has left in streams and tables is there still. */
export async function goBack({ ports, plan, app }: Pick<World, 'ports' | 'plan' | 'app'>, checkpoint: number): Promise<void> {
  const old = (await readRun(ports))!
  await supersede(ports.log, old.run, ports.clock.now(), `it goes back to ${checkpoint}`)
  const splits = new Map(Object.entries(old.splits))
  const counts = new Map(
    plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, splits.get(s.source.source!.name)!.length]])),
  )
  const backend =
    old.stateBackend === 'segments' ? ({ kind: 'segments', cache: new SegmentCache({ bytesMax: 0 }) } as const) : TABLE
  const names = plan.stages.flatMap(s => s.nodes.flatMap(n => n.sink?.name ?? []))
  const sinks = Object.fromEntries(names.map(name => [name, blobSink(ports.blobs, `results/${name}`, name)]))
  await openRestored(ports, { ...old, shape: shapeOf(plan) }, checkpoint, async run => {
    const topology = new Topology(plan, app.name, run, counts, { sinks, splits, snapshots: true, stateBackend: backend })
    // The mappings of another world begin at the beginning of their streams.
    for (const [source, shards] of splits) for (const subtask of shards.keys()) await tellJoined(ports.log, run, source, subtask)
    const manifest = await readManifest(ports.blobs, old.run, checkpoint)
    const standings = standingsOf(await beginningsFrom(manifest, topology, ports.blobs), topology)
    for (const [source, owners] of ownersIn(standings, topology)) await inheritOwners(ports.log, run, source, owners)
    await restore(topology, manifest, ports.blobs, ports)
    return { run: old.run, checkpoint }
  })
}
