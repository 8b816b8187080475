import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Blobs, RangedBlobs } from '../ports.ts'
import { absent } from './absent.ts'
import { systemRandom } from './clock.ts'
import { type Database, type Meter, text } from './database.ts'
import { StateCorruptError } from './errors.ts'

/** Up to this size an object lies in the database; above, in a file of its own, written and synced off the main thread. */
const INLINE_BYTES_MAX = 64 << 10
const READ_TRIES_MAX = 100

type Row = [data: Uint8Array | null, file: string | null, bytes: number, sum: number]

type FileRow = [file: string, key: string, bytes: number]

/** The keys alone: all that is needed of objects to see which there are. */
export function listBlobs(db: Database, meter: Meter = db.meter('blobs.list')): Blobs['list'] {
  const keys = db.prepare('select key from blobs where key >= ? order by key')
  return (prefix, limit = Number.POSITIVE_INFINITY) =>
    db.call(meter, () => {
      const found: string[] = []
      for (const [key] of keys.iterate(text(prefix)) as unknown as Iterable<[string]>) {
        if (found.length >= limit || !key.startsWith(prefix)) break
        found.push(key)
      }
      return found
    })
}

/**
 * A key's row is the object: a file counts from the moment a row names it, and its name is never used again. The row and everything
 * else committed therefore go back to the same moment after a power loss, and no key ever has to be a legal file name.
 */
export function embeddedBlobs(db: Database): RangedBlobs & { settle(): Promise<void> } {
  const row = blobRow(db)
  const insert = db.prepare('insert into blobs (key, data, file, bytes, sum) values (?, ?, ?, ?, ?) on conflict do nothing')
  const replace = db.prepare('insert or replace into blobs (key, data, file, bytes, sum) values (?, ?, ?, ?, ?)')
  const remove = db.prepare('delete from blobs where key = ?')
  const meters = {
    put: db.meter('blobs.put'),
    putIfAbsent: db.meter('blobs.putIfAbsent'),
    get: db.meter('blobs.get'),
    getRange: db.meter('blobs.getRange'),
    list: db.meter('blobs.list'),
    delete: db.meter('blobs.delete'),
  }
  const files = db.directory === undefined ? undefined : fileShelf(db.directory, db)

  function columnsOf(key: string, content: Uint8Array, file: string | undefined) {
    const data = file === undefined ? content : null
    const sum = db.sum(columns(key, file ?? null, content.byteLength), data)
    return [text(key), data, file ?? null, content.byteLength, sum] as const
  }

  /** Undefined: small enough for the row. */
  const shelve = (data: Uint8Array) => (files && data.byteLength > INLINE_BYTES_MAX ? files.write(data) : undefined)

  /** `take` gives undefined when the file that the row named is gone. */
  async function reading(key: string, take: (row: Row) => Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    for (let attempt = 1, missing = ''; ; attempt++) {
      const found = await db.call({ calls: 0, bytes: 0 }, () => row(key))
      if (!found) return undefined
      const data = await take(found)
      if (data !== undefined) return data
      const file = found[1]!
      // Replaced or deleted while it was read: the row says which. A row that still names the file has lost it.
      if (missing === file || attempt === READ_TRIES_MAX) throw damaged(`file ${file} of object '${key}' is missing`)
      missing = file
    }
  }

  return {
    async put(key, data) {
      const file = await shelve(data)
      await db.call(meters.put, () => {
        meters.put.bytes += data.byteLength
        const old = row(key)?.[1]
        replace.run(...columnsOf(key, data, file))
        if (old) files!.discard(old)
      })
    },
    async putIfAbsent(key, data) {
      if (await db.call(meters.putIfAbsent, () => row(key) !== undefined)) return false
      const file = await shelve(data)
      const won = await db.call({ calls: 0, bytes: 0 }, () => insert.run(...columnsOf(key, data, file)).changes === 1)
      if (won) meters.putIfAbsent.bytes += data.byteLength
      else if (file) files!.discard(file)
      return won
    },
    async get(key) {
      meters.get.calls++
      return reading(key, async ([inline, file, bytes]) => {
        const data = inline ?? (await files!.read(file!))
        if (data === undefined) return undefined
        if (data.byteLength !== bytes) throw damaged(`object '${key}' has ${data.byteLength} bytes instead of ${bytes}`)
        if (file !== null) verifyContent(db, key, file, data)
        meters.get.bytes += bytes
        return data
      })
    },
    async getRange(key, from, to) {
      meters.getRange.calls++
      return reading(key, async ([inline, file, bytes]) => {
        const end = Math.min(to, bytes)
        const wanted = Math.max(0, end - from)
        const data = inline?.slice(from, end) ?? (await files!.readRange(file!, from, wanted))
        if (data === undefined) return undefined
        if (data.byteLength !== wanted) throw damaged(`object '${key}' has fewer than ${end} of its ${bytes} bytes`)
        meters.getRange.bytes += wanted
        return data
      })
    },
    list: listBlobs(db, meters.list),
    delete: key =>
      db.call(meters.delete, () => {
        const old = row(key)?.[1]
        remove.run(text(key))
        if (old) files!.discard(old)
      }),
    settle: async () => files?.settle(),
  }

  function damaged(problem: string): StateCorruptError {
    return new StateCorruptError(db.directory ?? '(memory)', problem)
  }
}

/** The files of large objects: written once, named by a fresh id. */
function fileShelf(directory: string, db: Database) {
  const shelf = join(directory, 'blobs')
  const wal = join(directory, 'state.db-wal')
  const busy = new Set<Promise<unknown>>()
  let garbage: string[] = []
  try {
    mkdirSync(shelf, { recursive: true })
    sweepOrphans()
  } catch (error) {
    throw db.named(error)
  }

  /** What a killed process was writing, or had not removed yet, goes. What a row names has to be there: nobody could start from what lacks it, and would hear of that too late. */
  function sweepOrphans(): void {
    const rows = db.prepare('select file, key, bytes from blobs where file is not null').all() as unknown as FileRow[]
    for (const [file, key, bytes] of rows) {
      const found = statSync(join(shelf, file), { throwIfNoEntry: false })?.size
      if (found === bytes) continue
      const problem = found === undefined ? 'is missing' : `has ${found} bytes instead of ${bytes}`
      throw new StateCorruptError(directory, `file ${file} of object '${key}' ${problem}`)
    }
    const named = new Set(rows.map(([file]) => file))
    for (const file of readdirSync(shelf)) if (!named.has(file)) rmSync(join(shelf, file), { force: true })
  }

  function track<T>(work: Promise<T>): Promise<T> {
    busy.add(work)
    const done = () => busy.delete(work)
    work.then(done, done)
    return work
  }

  async function write(data: Uint8Array): Promise<string> {
    const file = `${systemRandom.id()}${SUM_BEHIND}${sumOf(data)}`
    try {
      const handle = await open(join(shelf, file), 'wx')
      try {
        await handle.writeFile(data)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await sync(shelf)
    } catch (error) {
      await rm(join(shelf, file), { force: true })
      throw db.named(error)
    }
    return file
  }

  /** A file goes once the commit that dropped it can't be undone by a power loss any more: SQLite itself syncs only at its checkpoints. */
  async function collect(): Promise<void> {
    while (garbage.length > 0) {
      const files = garbage
      garbage = []
      await sync(wal)
      await Promise.all(files.map(file => rm(join(shelf, file), { force: true })))
    }
  }

  let collecting: Promise<void> | undefined
  return {
    write: (data: Uint8Array) => track(write(data)),
    read: (file: string): Promise<Uint8Array | undefined> => track(readFile(join(shelf, file))).catch(absent),
    readRange: (file: string, from: number, length: number): Promise<Uint8Array | undefined> =>
      track(readPart(join(shelf, file), from, length)).catch(absent),
    discard(file: string): void {
      garbage.push(file)
      // A file that can't be removed now is removed when the directory is opened again.
      collecting ??= track(collect())
        .catch(() => {})
        .finally(() => (collecting = undefined))
    },
    async settle(): Promise<void> {
      while (busy.size > 0) await Promise.allSettled(busy)
    },
  }
}

/** An object's row. */
export function blobRow(db: Database): (key: string) => Row | undefined {
  const read = db.prepare('select data, file, bytes, sum from blobs where key = ?')
  return key => {
    const row = read.get(text(key)) as unknown as Row | undefined
    if (row) db.verify('blobs', columns(key, row[1], row[2]), row[0], row[3])
    return row
  }
}

/** As CHECKED has them. */
function columns(key: string, file: string | null, bytes: number): string {
  return `${key}\0${file ?? ''}\0${bytes}`
}

/** The name of an object's file ends with a checksum of what is in it. */
const SUM_BEHIND = '.'
const sumOf = (content: Uint8Array) => crc32(content).toString(16)

/** @throws StateCorruptError when that is not what was written to the file */
export function verifyContent({ directory }: Database, key: string, file: string, content: Uint8Array): void {
  if (file.slice(file.lastIndexOf(SUM_BEHIND) + 1) === sumOf(content)) return
  throw new StateCorruptError(directory!, `object '${key}' fails its checksum`)
}

/** Fewer bytes where the file is shorter. */
export async function readPart(path: string, from: number, length: number): Promise<Uint8Array> {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(length), 0, length, from)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
