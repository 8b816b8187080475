import { mkdir, open, readdir, readFile, rmdir, unlink } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import type { Blobs } from '../ports.ts'

/** The files of a savepoint in a directory: durable when a call has acknowledged them. Names are those of savepoints, and no others (format.ts). */
export function directoryBlobs(directory: string): Blobs {
  const at = (name: string) => join(directory, ...name.split('/'))

  async function write(name: string, data: Uint8Array, flag: 'w' | 'wx'): Promise<void> {
    const path = at(name)
    await mkdir(dirname(path), { recursive: true })
    const file = await open(path, flag)
    try {
      await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
    await sync(dirname(path))
  }

  return {
    put: (name, data) => write(name, data, 'w'),
    async putIfAbsent(name, data) {
      try {
        await write(name, data, 'wx')
        return true
      } catch (error) {
        if (isNamed(error, 'EEXIST')) return false
        throw error
      }
    },
    get: name => readFile(at(name)).catch(absent),
    async list(prefix, limit) {
      const found = (await readdir(directory, { recursive: true, withFileTypes: true }).catch(absent)) ?? []
      return found
        .filter(entry => entry.isFile())
        .map(entry => relative(directory, join(entry.parentPath, entry.name)).split(sep).join('/'))
        .filter(name => name.startsWith(prefix))
        .sort()
        .slice(0, limit)
    },
    async delete(name) {
      await unlink(at(name)).catch(absent)
    },
  }
}

/** Takes the directories away that a savepoint was in, as far as they are empty. */
export async function removeEmpty(directory: string): Promise<void> {
  for (const path of [join(directory, 'segments'), join(directory, 'channels'), directory])
    await rmdir(path).catch(error => {
      if (!isNamed(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw error
    })
}

async function sync(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function absent(error: unknown): undefined {
  if (isNamed(error, 'ENOENT', 'ENOTDIR')) return undefined
  throw error
}

function isNamed(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '')
}
