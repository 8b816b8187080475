import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RangedBlobs } from '../ports.ts'
import { absent } from './absent.ts'
import { blobRow, listBlobs, readPart, verifyContent } from './blobs.ts'
import type { Database } from './database.ts'

/** The objects of a store that another process may have open, as of when it was opened for reading: one of those in files of their own may be gone by now. */
export function readBlobs(db: Database): Pick<RangedBlobs, 'get' | 'getRange' | 'list'> {
  const row = blobRow(db)
  const rowOf = (key: string) => db.call({ calls: 0, bytes: 0 }, () => row(key))
  const at = (file: string) => join(db.directory!, 'blobs', file)
  return {
    list: listBlobs(db),
    async get(key) {
      const row = await rowOf(key)
      if (!row) return undefined
      const [inline, file] = row
      const data = inline ?? (await readFile(at(file!)).catch(absent))
      if (data && file !== null) verifyContent(db, key, file, data)
      return data
    },
    async getRange(key, from, to) {
      const row = await rowOf(key)
      return row && (row[0]?.slice(from, to) ?? readPart(at(row[1]!), from, to - from).catch(absent))
    },
  }
}
