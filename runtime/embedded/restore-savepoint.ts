import { withNewInput } from '../checkpoint/new-input.ts'
import { checkKind } from '../checkpoint/open-run.ts'
import { restore } from '../checkpoint/restore.ts'
import { checkBackend, openRestored, type RunKind, type RunMeta, readRun } from '../checkpoint/run-meta.ts'
import { beginningsFrom, type UpgradeOptions } from '../checkpoint/upgrade.ts'
import { checkedFiles, readSavepoint } from '../savepoint/format.ts'
import type { Topology } from '../stage/topology.ts'
import { checkOrigin, REMEDY } from './check-origin.ts'
import { SnapshotOriginError } from './errors.ts'
import type { EmbeddedPorts } from './ports.ts'
import type { SavepointPlace } from './run-options.ts'
import { findRun } from './shape-now.ts'

/**
 * A new run that starts from a savepoint, or the one that began with it, which goes on. Sinks begin anew: what they had written stays with the run that the savepoint was taken of.
 *
 * @throws SnapshotOriginError when the directory has a run that did not begin with it
 * @throws SnapshotError when there is no savepoint, or a part of it is missing or damaged
 */
export async function restoreSavepoint(
  ports: EmbeddedPorts,
  place: SavepointPlace,
  kindFor: (found: string) => RunKind,
  topologyOf: (run: string, kind: RunKind) => Topology,
  given: { readonly newInput?: boolean } & UpgradeOptions,
): Promise<RunMeta> {
  const there = await readRun(ports)
  const { blobs, close } = await place.open()
  try {
    const savepoint = await readSavepoint(blobs, place.name)
    const { run: of, checkpoint, takenFrom } = savepoint
    if (there !== undefined) {
      if (there.origin?.run !== of || there.origin.checkpoint !== checkpoint)
        throw new SnapshotOriginError(
          `${ports.directory} holds a run already, which did not begin with ${place.name}: leave the savepoint out to go on with it, or start from it in an empty state directory`,
        )
      const { there: found, wanted } = await findRun(ports.log, there, kindFor)
      checkBackend(found, wanted, 'the state directory')
      checkKind(found, wanted, 'the state directory', `start from the savepoint in an empty one, or ${REMEDY}`)
      return there
    }
    // Streams and their shards are not there to be read on from here.
    const newInput = takenFrom.kind !== 'directory' || (given.newInput ?? false)
    const wanted = kindFor(savepoint.shape)
    const files = checkedFiles(blobs, savepoint, place.name)
    await checkOrigin({ manifest: savepoint, blobs: files, what: place.name, newInput }, wanted, topologyOf, given)
    return await openRestored(ports, wanted, checkpoint, async run => {
      const topology = topologyOf(run, wanted)
      const begun = await beginningsFrom(savepoint, topology, files)
      await restore(topology, savepoint, files, ports, {
        newSinks: true,
        beginnings: newInput ? withNewInput(begun, topology) : begun,
      })
      return { run: of, checkpoint }
    })
  } finally {
    await close()
  }
}
