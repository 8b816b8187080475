import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** A directory and its parents, unless they are there. Not mkdir's own `recursive`: below /proc and its like, Node's never returns. */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && isDirectory(path)) return
    // With a parent that is there, it is the file system that refuses.
    if (code !== 'ENOENT' || isDirectory(dirname(path))) throw error
    makeDirectory(dirname(path))
    makeDirectory(path)
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
