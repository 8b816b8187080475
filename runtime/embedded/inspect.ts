import { type Manifest, readManifest } from '../checkpoint/manifest.ts'
import { completeCheckpoints } from '../checkpoint/restore.ts'
import { type RunMeta, readRun } from '../checkpoint/run-meta.ts'
import { MillraceError } from '../errors.ts'
import { type Checkpoint, checkpointsOf, type Readable } from '../inspect/checkpoints.ts'
import { type FoundState, type StateQuery, stateOf } from '../inspect/state.ts'
import type { Blobs } from '../ports.ts'
import { readDatabase } from './durable.ts'
import { SnapshotOriginError } from './errors.ts'
import { embeddedLog } from './log.ts'
import { readBlobs } from './read-blobs.ts'
import { embeddedStore } from './store.ts'

/**
 * The checkpoints of a state directory, oldest first.
 * @throws MillraceError when the directory holds no run
 */
export async function listCheckpoints(directory: string): Promise<Checkpoint[]> {
  return withRun(directory, checkpointsOf)
}

/**
 * What an operator keeps, as of the last completed checkpoint: see `stateOf`.
 * @throws MillraceError when the directory holds no run, and for an operator or state that the run does not have
 */
export async function getState(directory: string, query: StateQuery): Promise<FoundState[]> {
  return withRun(directory, (ports, meta) => stateOf(ports, meta, query))
}

/**
 * Has a checkpoint's manifest, and the blobs that it names, read. A process that has the directory open takes none away that this has seen in the database, but may those that lie in files of
 * their own.
 * @throws SnapshotOriginError when there is no such checkpoint
 */
export async function withCheckpoint<T>(
  directory: string,
  checkpoint: number | undefined,
  work: (manifest: Manifest, blobs: Pick<Blobs, 'get'>) => Promise<T>,
): Promise<T> {
  return withRun(directory, async (ports, { run, snapshots }) => {
    const complete = snapshots ? await completeCheckpoints(ports, run) : []
    const n = checkpoint ?? complete.at(-1)
    if (n === undefined) throw new SnapshotOriginError(`${directory} has no complete checkpoint yet`)
    if (!complete.includes(n))
      throw new SnapshotOriginError(`${directory} has no checkpoint ${n}: it has kept ${complete.join(', ') || 'none'}`)
    return work(await readManifest(ports.blobs, run, n), ports.blobs)
  })
}

/**
 * What a state directory belongs to.
 * @throws MillraceError when it holds no run
 */
export async function runOf(directory: string): Promise<RunMeta> {
  return withRun(directory, async (_, meta) => meta)
}

/** Also beside a process that has the directory open. */
async function withRun<T>(directory: string, work: (ports: Readable, meta: RunMeta) => Promise<T>): Promise<T> {
  const db = readDatabase(directory)
  if (db === undefined) throw new MillraceError(`${directory} holds no run`)
  try {
    const ports = { log: embeddedLog(db), store: embeddedStore(db), blobs: readBlobs(db) }
    const meta = await readRun(ports)
    if (meta === undefined) throw new MillraceError(`${directory} holds no run`)
    return await work(ports, meta)
  } catch (error) {
    throw db.named(error)
  } finally {
    db.close()
  }
}
