import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { METADATA } from '../savepoint/names.ts'
import { UsageError } from './error.ts'

export function isStateDirectory(path: string): boolean {
  return existsSync(join(path, 'state.db'))
}

/** A directory in which a run once was: looking at any other would leave a store there. What the store is good for, the engine says. */
export function checkStateDirectory(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined)
    throw new UsageError(`there is no state directory ${path}: name the one that was given to millrace run --state`)
  if (!stats.isDirectory())
    throw new UsageError(`${path} is not a directory: name the one that was given to millrace run --state`)
  // A backfill takes no checkpoints: it has a store, for its lock, and no run in it.
  if (existsSync(join(path, 'backfill.json')))
    throw new UsageError(
      `${path} is the directory of a backfill, which has no run or checkpoints: the savepoint of millrace backfill --then-live is what a run goes on from`,
    )
  if (isStateDirectory(path)) return path
  if (existsSync(join(path, METADATA)))
    throw new UsageError(
      `${path} is a savepoint, not a state directory: millrace savepoint inspect ${path} shows what is in it, and millrace run FILE --from-snapshot ${path} starts from it`,
    )
  throw new UsageError(`${path} holds no run: no millrace run --state has used it`)
}
