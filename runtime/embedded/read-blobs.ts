import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Blobs } from '../ports.ts'
import { listBlobs } from './blobs.ts'
import { type Database, text } from './database.ts'

/** The objects of a store that another process may have open, as of when it was opened for reading: one of those in files of their own may be gone by now. */
export function readBlobs(db: Database): Pick<Blobs, 'get' | 'list'> {
  const read = db.prepare('select data, file from blobs where key = ?')
  return {
    list: listBlobs(db),
    async get(key) {
      const row = await db.call(
        { calls: 0, bytes: 0 },
        () => read.get(text(key)) as [Uint8Array | null, string | null] | undefined,
      )
      if (row === undefined) return undefined
      const [inline, file] = row
      return inline ?? readFile(join(db.directory!, 'blobs', file!)).catch(absent)
    },
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
