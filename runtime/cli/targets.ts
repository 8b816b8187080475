import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { UsageError } from './error.ts'

/** Where results are to go can be written: told before anything starts. `flag`: as typed, for the error. */
export function checkDirectory(path: string, flag: string): void {
  for (let at = resolve(path); ; at = dirname(at)) {
    const stats = statSync(at, { throwIfNoEntry: false })
    if (stats?.isDirectory()) return
    if (stats !== undefined) throw new UsageError(`${flag}: ${at} is a file, and a directory is needed there`)
    if (dirname(at) === at) return
  }
}

/** Throws UsageError for a directory, and where a directory of the path is a file. */
export function checkTarget(path: string, flag: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`${flag}: ${path} is a directory: name a file`)
  checkDirectory(dirname(resolve(path)), flag)
}
