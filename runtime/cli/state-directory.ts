import { statSync } from 'node:fs'
import { UsageError } from './error.ts'

/** A directory that is there; whether it holds state, the engine says. */
export function checkStateDirectory(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) throw new UsageError(`there is no state directory ${path}`)
  if (!stats.isDirectory())
    throw new UsageError(`${path} is not a directory: name the one that was given to millrace run --state`)
  return path
}
