import { resolve } from 'node:path'
import { readManifest } from '../checkpoint/manifest.ts'
import { completeCheckpoints, restore, supersede } from '../checkpoint/restore.ts'
import { checkKind, openRestored, type RunKind, type RunMeta, readRun } from '../checkpoint/run-meta.ts'
import type { Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import { SnapshotOriginError } from './errors.ts'
import { type EmbeddedPorts, openEmbedded } from './ports.ts'
import type { SnapshotOrigin } from './run-options.ts'

/**
 * A new run that starts from a checkpoint of another state directory, or from an earlier one of its own, in which case the run that was there has ended.
 *
 * @throws SnapshotOriginError when there is no such checkpoint, or the directory has a run that is not the one to go back in
 */
export async function restoreRun(
  ports: EmbeddedPorts,
  origin: SnapshotOrigin,
  wanted: RunKind,
  topologyOf: (run: string) => Topology,
): Promise<RunMeta> {
  const inPlace = ports.directory === resolve(origin.directory)
  if (!inPlace && (await readRun(ports)) !== undefined) {
    throw new SnapshotOriginError(
      `${ports.directory} holds a run already: leave the snapshot out to go on with it, or start from the snapshot in an empty state directory`,
    )
  }
  if (inPlace) return restoreFrom(ports, ports, origin, wanted, topologyOf, true)
  const from = await openEmbedded({ directory: origin.directory })
  try {
    return await restoreFrom(ports, from, origin, wanted, topologyOf, false)
  } finally {
    await from.close()
  }
}

async function restoreFrom(
  ports: Ports,
  from: Ports,
  { directory, checkpoint }: SnapshotOrigin,
  wanted: RunKind,
  topologyOf: (run: string) => Topology,
  inPlace: boolean,
): Promise<RunMeta> {
  const old = await readRun(from)
  if (old === undefined) throw new SnapshotOriginError(`${directory} holds no run`)
  if (!old.snapshots) throw new SnapshotOriginError(`the checkpoints in ${directory} hold no state to start from`)
  const complete = await completeCheckpoints(from, old.run)
  const known = checkpoint ?? complete.at(-1)
  if (known === undefined) throw new SnapshotOriginError(`${directory} has no complete checkpoint to start from`)
  if (!complete.includes(known))
    throw new SnapshotOriginError(
      `${directory} has no checkpoint ${known} to start from: it has kept ${complete.join(', ') || 'none'}`,
    )
  // Everything that can be refused is, before the old run ends.
  const remedy = 'run what it was made by'
  checkKind(await readManifest(from.blobs, old.run, known), wanted, `checkpoint ${known} in ${directory}`, remedy)
  return openRestored(ports, wanted, checkpoint, async run => {
    if (inPlace) await supersede(from.log, old.run, from.clock.now(), `the pipeline goes back to checkpoint ${known}`)
    const n = checkpoint ?? (await completeCheckpoints(from, old.run)).at(-1)!
    await restore(topologyOf(run), await readManifest(from.blobs, old.run, n), from.blobs, ports)
  })
}
