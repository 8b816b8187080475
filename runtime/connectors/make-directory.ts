import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** A directory and its parents, unless they are there. Not mkdir's own `recursive`: below /proc and its like, Node's never returns. */
export function makeDirectory(path: string): void {
  if (made(path)) return
  if (!isDirectory(dirname(path))) makeDirectory(dirname(path))
  // A parent that is there now may have been made meanwhile, by another thread. Where it was there before, it is the file system that refuses, and does so again.
  if (!made(path)) mkdirSync(path)
}

/** False: it has no parent. */
function made(path: string): boolean {
  try {
    mkdirSync(path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && isDirectory(path)) return true
    if (code === 'ENOENT') return false
    throw error
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
