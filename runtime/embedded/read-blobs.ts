import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RangedBlobs } from '../ports.ts'
import { listBlobs, readPart } from './blobs.ts'
import { type Database, text } from './database.ts'

/** The objects of a store that another process may have open, as of when it was opened for reading: one of those in files of their own may be gone by now. */
export function readBlobs(db: Database): Pick<RangedBlobs, 'get' | 'getRange' | 'list'> {
  const read = db.prepare('select data, file from blobs where key = ?')
  const rowOf = (key: string) =>
    db.call({ calls: 0, bytes: 0 }, () => read.get(text(key)) as [Uint8Array | null, string | null] | undefined)
  const at = (file: string) => join(db.directory!, 'blobs', file)
  return {
    list: listBlobs(db),
    async get(key) {
      const row = await rowOf(key)
      return row && (row[0] ?? readFile(at(row[1]!)).catch(absent))
    },
    async getRange(key, from, to) {
      const row = await rowOf(key)
      return row && (row[0]?.slice(from, to) ?? readPart(at(row[1]!), from, to - from).catch(absent))
    },
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
