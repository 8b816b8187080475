import { type RunMeta, readRun } from '../checkpoint/run-meta.ts'
import { MillraceError } from '../errors.ts'
import { type Checkpoint, checkpointsOf, type Readable } from '../inspect/checkpoints.ts'
import { type FoundState, type StateQuery, stateOf } from '../inspect/state.ts'
import { listBlobs } from './blobs.ts'
import { readDatabase } from './database.ts'
import { embeddedLog } from './log.ts'
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

/** Also beside a process that has the directory open. */
async function withRun<T>(directory: string, work: (ports: Readable, meta: RunMeta) => Promise<T>): Promise<T> {
  const db = readDatabase(directory)
  if (db === undefined) throw new MillraceError(`${directory} holds no run`)
  try {
    const ports = { log: embeddedLog(db), store: embeddedStore(db), blobs: { list: listBlobs(db) } }
    const meta = await readRun(ports)
    if (meta === undefined) throw new MillraceError(`${directory} holds no run`)
    return await work(ports, meta)
  } catch (error) {
    throw db.named(error)
  } finally {
    db.close()
  }
}
