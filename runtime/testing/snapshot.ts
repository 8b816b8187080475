import { type Manifest, readManifest } from '../checkpoint/manifest.ts'
import { checkKind } from '../checkpoint/open-run.ts'
import { restore } from '../checkpoint/restore.ts'
import { openRestored, type RunKind } from '../checkpoint/run-meta.ts'
import { materialisePart } from '../checkpoint/snapshot.ts'
import { startCheckpoint } from '../checkpoint/start.ts'
import { collectParts, completeCheckpoint } from '../checkpoint/steps.ts'
import type { Blobs, Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import type { EnvironmentOptions } from './environment.ts'
import { TestKitError } from './error.ts'
import { perform, type Task } from './tasks.ts'

/** A complete checkpoint of a test pipeline, with all that it consists of: any number of test pipelines can be opened from it. */
export interface Snapshot {
  /** Its pipeline's name. */
  readonly pipeline: string
  /** Which one of its run it is, from 1. */
  readonly checkpoint: number
  /** @internal */
  readonly manifest: Manifest
  /** @internal By name. */
  readonly blobs: ReadonlyMap<string, Uint8Array>
}

/** Takes a checkpoint: the controller's steps, in their order. `settle`: until nothing moves any more. */
export async function takeSnapshot(
  options: EnvironmentOptions,
  tasks: readonly Task[],
  settle: () => Promise<void>,
): Promise<Snapshot> {
  const { topology, ports } = options
  const start = await startCheckpoint(topology, ports)
  const { checkpoint } = start
  for (const task of tasks) if (task.split !== undefined) await perform(options, task, s => s.cutSource(checkpoint))
  await settle()
  const { parts, missing } = await collectParts(topology, checkpoint, ports)
  if (missing.length > 0) throw new TestKitError(`checkpoint ${checkpoint} is not complete: ${missing.join(', ')} did not ack`)
  const materialised = []
  for (const part of parts) {
    const done = await materialisePart(topology, start, part, ports, { exclusive: true })
    materialised.push(done)
    for (const { environment } of tasks)
      if (environment.subtask.log === part.log && done.to === part.version) environment.subtask.materialised(part.version)
  }
  await completeCheckpoint(topology, start, parts, materialised, ports)
  const manifest = await readManifest(ports.blobs, topology.run, checkpoint)
  return { pipeline: topology.pipeline, checkpoint, manifest, blobs: await copyOf(ports.blobs) }
}

async function copyOf(blobs: Blobs): Promise<Map<string, Uint8Array>> {
  const copy = new Map<string, Uint8Array>()
  for (const key of await blobs.list('')) copy.set(key, (await blobs.get(key))!)
  return copy
}

/**
 * A new run that begins with a snapshot.
 * @throws StateMismatchError when another pipeline, plan or number of splits made it
 */
export async function openFromSnapshot(
  ports: Ports,
  { manifest, checkpoint, blobs }: Snapshot,
  wanted: RunKind,
  topologyOf: (run: string) => Topology,
): Promise<Topology> {
  checkKind(manifest, wanted, 'the snapshot', 'open it with the pipeline, the parallelism and the splits that made it')
  const from: Blobs = { ...ports.blobs, get: async key => blobs.get(key) }
  const { run } = await openRestored(ports, wanted, checkpoint, async id => {
    await restore(topologyOf(id), manifest, from, ports, { newSinks: true })
    return { run: manifest.run, checkpoint }
  })
  return topologyOf(run)
}
