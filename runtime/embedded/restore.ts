import { resolve } from 'node:path'
import { readManifest } from '../checkpoint/manifest.ts'
import { withNewInput } from '../checkpoint/new-input.ts'
import { checkKind } from '../checkpoint/open-run.ts'
import { completeCheckpoints, restore, supersede } from '../checkpoint/restore.ts'
import { checkBackend, type Origin, openRestored, type RunKind, type RunMeta, readRun } from '../checkpoint/run-meta.ts'
import { refuseTakenBack } from '../checkpoint/taken-back.ts'
import { beginningsFrom, type UpgradeOptions } from '../checkpoint/upgrade.ts'
import type { Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import { checkOrigin } from './check-origin.ts'
import { SnapshotOriginError } from './errors.ts'
import { type EmbeddedPorts, openEmbedded } from './ports.ts'
import { restoreSavepoint } from './restore-savepoint.ts'
import type { SnapshotOrigin } from './run-options.ts'
import { findRun } from './shape-now.ts'

/** A checkpoint of a run that has its log: all but a savepoint. */
type CheckpointOrigin = Exclude<SnapshotOrigin, { readonly savepoint: unknown }>

/** What a run is to be that goes on from state of the shape `found`: its stages may be cut as those were (graph/plan-for.ts). */
export type KindFor = (found: string) => RunKind

/**
 * A new run that starts from a checkpoint of another state directory or of a stack, from a savepoint, or from an earlier one of its own, in which case the run that was there has ended.
 *
 * @throws SnapshotOriginError when there is no such checkpoint, or the directory has a run that is not the one to go back in
 */
export async function restoreRun(
  ports: EmbeddedPorts,
  origin: SnapshotOrigin,
  kindFor: KindFor,
  topologyOf: (run: string, kind: RunKind) => Topology,
  upgrading: UpgradeOptions = {},
): Promise<RunMeta> {
  if ('savepoint' in origin) return restoreSavepoint(ports, origin.savepoint, kindFor, topologyOf, { ...origin, ...upgrading })
  const inPlace = 'directory' in origin && ports.directory === resolve(origin.directory)
  if (inPlace) return restoreFrom(ports, ports, origin, kindFor, topologyOf, upgrading)
  const there = await readRun(ports)
  const from = 'store' in origin ? await origin.store.open() : await openEmbedded({ directory: origin.directory })
  try {
    if (there === undefined) return await restoreFrom(ports, from, origin, kindFor, topologyOf, upgrading)
    // The same command again, after a crash: what it began is gone on with.
    if (there.origin === undefined || !(await isOrigin(from, origin, there.origin)))
      throw new SnapshotOriginError(
        `${ports.directory} holds a run already, which did not begin there: leave the snapshot out to go on with it, or start from the snapshot in an empty state directory`,
      )
    const { there: found, wanted } = await findRun(ports.log, there, kindFor)
    checkBackend(found, wanted, 'the state directory')
    checkKind(found, wanted, 'the state directory', 'start from the snapshot in an empty one, or run what it was made by')
    return there
  } finally {
    await from.close()
  }
}

async function isOrigin(from: Pick<Ports, 'log'>, wanted: CheckpointOrigin, { run, checkpoint }: Origin): Promise<boolean> {
  return (await readRun(from))?.run === run && (wanted.checkpoint ?? checkpoint) === checkpoint
}

async function restoreFrom(
  ports: Ports,
  from: Pick<Ports, 'log' | 'blobs'>,
  origin: CheckpointOrigin,
  kindFor: KindFor,
  topologyOf: (run: string, kind: RunKind) => Topology,
  upgrading: UpgradeOptions,
): Promise<RunMeta> {
  const inPlace = from === ports
  const { checkpoint } = origin
  const elsewhere = 'store' in origin
  const place = elsewhere ? origin.store.name : origin.directory
  // Streams and their shards are not there to be read on from here.
  const newInput = elsewhere || (origin.newInput ?? false)
  const old = await readRun(from)
  if (old === undefined) throw new SnapshotOriginError(`${place} holds no run`)
  if (!old.snapshots) throw new SnapshotOriginError(`the checkpoints in ${place} hold no state to start from`)
  const complete = await completeCheckpoints(from, old.run)
  const known = checkpoint ?? complete.at(-1)
  if (known === undefined) throw new SnapshotOriginError(`${place} has no complete checkpoint to start from`)
  if (!complete.includes(known))
    throw new SnapshotOriginError(
      `${place} has no checkpoint ${known} to start from: it has kept ${complete.join(', ') || 'none'}`,
    )
  // Everything that can be refused is, before the old run ends.
  if (inPlace) await refuseTakenBack(from.log, old.run, known, place)
  const what = `checkpoint ${known} in ${place}`
  const found = await readManifest(from.blobs, old.run, known)
  const wanted = kindFor(found.shape)
  await checkOrigin({ manifest: found, blobs: from.blobs, what, newInput }, wanted, topologyOf, upgrading)
  return openRestored(ports, wanted, checkpoint, async run => {
    let [n, manifest] = [known, found]
    if (inPlace) {
      await supersede(from.log, old.run, ports.clock.now(), `the pipeline goes back to checkpoint ${known}`)
      // One that won the race is newer.
      n = checkpoint ?? (await completeCheckpoints(from, old.run)).at(-1)!
      if (n !== known) manifest = await readManifest(from.blobs, old.run, n)
    }
    const topology = topologyOf(run, wanted)
    const begun = await beginningsFrom(manifest, topology, from.blobs)
    const beginnings = newInput ? withNewInput(begun, topology) : begun
    await restore(topology, manifest, from.blobs, ports, { newSinks: elsewhere, fork: !inPlace, beginnings })
    return { run: old.run, checkpoint: n }
  })
}
