import { mkdtempSync, rmdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileReason } from '../connectors/error.ts'
import { UsageError } from './error.ts'

/** Where results are to go can be written: told before anything starts. `flag`: as typed, for the error. */
export function checkDirectory(path: string, flag: string): void {
  for (let at = resolve(path); ; at = dirname(at)) {
    const stats = statSync(at, { throwIfNoEntry: false })
    if (stats?.isDirectory()) {
      probe(at, flag)
      return
    }
    if (stats !== undefined) throw new UsageError(`${flag}: ${at} is a file, and a directory is needed there`)
    if (dirname(at) === at) return
  }
}

/** Throws UsageError for what is no regular file, and where a directory of the path is a file. */
export function checkTarget(path: string, flag: string): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats?.isDirectory()) throw new UsageError(`${flag}: ${path} is a directory: name a file`)
  // /dev/stdout may lead to a regular file: it would be cut to its length of before.
  if ((stats !== undefined && !stats.isFile()) || resolve(path).startsWith('/dev/'))
    throw new UsageError(`${flag}: ${path} is no regular file ('-' is standard output): name a file`)
  checkDirectory(dirname(resolve(path)), flag)
}

/** By trying: permissions say nothing of a read-only file system, or of /proc. */
function probe(directory: string, flag: string): void {
  try {
    rmdirSync(mkdtempSync(join(directory, '.millrace-')))
  } catch (error) {
    // mkdtemp's code for "this file system makes no directories" is that of a missing file.
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'nothing can be made there' : fileReason(error)
    throw new UsageError(`${flag}: can't write to ${directory}: ${reason}`, { cause: error })
  }
}
