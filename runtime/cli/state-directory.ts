import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from './error.ts'

/** A directory in which a run once was: looking at any other would leave a store there. What the store is good for, the engine says. */
export function checkStateDirectory(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) throw new UsageError(`there is no state directory ${path}`)
  if (!stats.isDirectory())
    throw new UsageError(`${path} is not a directory: name the one that was given to millrace run --state`)
  if (!existsSync(join(path, 'state.db'))) throw new UsageError(`${path} holds no run: no millrace run --state has used it`)
  return path
}
