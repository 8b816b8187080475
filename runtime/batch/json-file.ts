import { closeSync, fdatasyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'

/** Writes a small file whole or not at all, whenever the process dies. `synced`: and also when the power goes. */
export function writeJson(path: string, value: unknown, { synced = true } = {}): void {
  const fresh = `${path}.new`
  const fd = openSync(fresh, 'w')
  try {
    writeSync(fd, JSON.stringify(value))
    if (synced) fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(fresh, path)
}

/** Undefined: there is none. */
export function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
