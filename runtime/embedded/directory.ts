import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { makeDirectory } from '../connectors/make-directory.ts'
import { CHECKED, type Table, verifyRow } from './checksum.ts'
import { type Owner, StateCorruptError, StateDirectoryInUseError, StateFormatError, StateUnavailableError } from './errors.ts'
import { APPLICATION_ID, createSchema, FORMAT, hasSchema } from './schema.ts'
import { Code, isTooLarge, openSqlite, sqliteCode, unavailable } from './sqlite.ts'
import { isWalWhole } from './wal.ts'

const PAGE_BYTES = 4096
/** The write-ahead log is folded into the database each time it reaches this: two fsyncs per 64 MB written. */
const WAL_BYTES = 64 << 20
/** Small on purpose: a commit that split a page may walk the whole cache (docs/embedded-store.md), and the system's own cache is behind it. */
const CACHE_KIB = 4 << 10
/** Bridges the moment between a kill and the kernel's release of the lock. */
const LOCK_WAIT_MS = 200
/** Those who read hold a database up when they are the first to open it after a kill, and replay its log. */
const BUSY_MS = 5000
/** Up to this size all rows are verified when a store is opened: 4 µs for each. */
const CHECKED_BYTES_MAX = 64 << 20

const TABLES = Object.keys(CHECKED) as Table[]
const SMALL: readonly Table[] = ['channels', 'floors', 'blobs']

/** A store's connection. */
export interface Connection {
  readonly db: DatabaseSync
  /** All its rows were verified. */
  readonly whole: boolean
  close(): void
}

/**
 * Opens the store in `directory`, making it if there is none, and holds its lock until closed.
 *
 * `owner.json` says who holds it, and in which boot of the machine: a killed process leaves it. POSIX drops a process's locks on a file when *any* of its descriptors is closed: nothing here
 * may open state.db or its lock.
 */
export function openDirectory(directory: string, checkedBytesMax = CHECKED_BYTES_MAX): Connection {
  makeDirectory(directory)
  const file = join(directory, 'state.db')
  let lock: DatabaseSync | undefined
  let db: DatabaseSync | undefined
  let whole: boolean
  try {
    lock = openLock(directory)
    const last = ownerInThisBoot(directory)
    if (last !== undefined) refuseLiving(last, directory, file)
    if (!existsSync(file)) create(directory, file)
    if (last !== undefined) verifyWal(directory)
    db = openSqlite(file, { busyMsMax: BUSY_MS })
    whole = check(directory, file, db, checkedBytesMax)
    configure(db)
    writeFileSync(
      join(directory, 'owner.json'),
      JSON.stringify({ pid: process.pid, host: hostname(), since: Date.now(), boot: bootOfMachine() } satisfies Owner),
    )
  } catch (error) {
    db?.close()
    lock?.close()
    throw named(directory, error)
  }
  for (const name of readdirSync(directory)) if (name.startsWith('new-')) rmSync(join(directory, name), { force: true })
  const connections = [db, lock]
  return {
    db,
    whole,
    close() {
      rmSync(join(directory, 'owner.json'), { force: true })
      for (const connection of connections) connection.close()
    },
  }
}

/**
 * The store in `directory` as it is now, for reading, whoever has it open: all reads see one moment. Undefined when there is no store.
 */
export function readDirectory(directory: string): Connection | undefined {
  const file = join(directory, 'state.db')
  if (!existsSync(file)) return undefined
  try {
    if (ownerInThisBoot(directory) !== undefined) verifyLeftWal(directory)
    try {
      return readFrom(directory, file, openSqlite(file, { busyMsMax: BUSY_MS, readOnly: true }))
    } catch (error) {
      if (!NOT_WRITABLE.includes(sqliteCode(error)) || existsSync(`${file}-wal`)) throw error
      // For a log's index there is no place here. There is no log, and who could make one could make its index too.
      return readFrom(directory, file, openSqlite(unchanging(file), { readOnly: true }))
    }
  } catch (error) {
    throw named(directory, error)
  }
}

function readFrom(directory: string, file: string, db: DatabaseSync): Connection {
  try {
    db.exec('begin')
    const whole = check(directory, file, db, CHECKED_BYTES_MAX)
    const readersOf = (more: number) => readers.set(resolve(directory), (readers.get(resolve(directory)) ?? 0) + more)
    readersOf(1)
    return {
      db,
      whole,
      close() {
        readersOf(-1)
        db.close()
      },
    }
  } catch (error) {
    db.close()
    throw error
  }
}

/** https://sqlite.org/uri.html */
function unchanging(file: string): URL {
  const url = pathToFileURL(file)
  url.searchParams.set('immutable', '1')
  return url
}

/** By directory, how many connections of this process read it. */
const readers = new Map<string, number>()

/**
 * The first to read behind a kill makes a new index of what the write-ahead log holds by then: what that lacks would show to nobody any more. Where the owner is alive, it was verified when that came; and who
 * can't write there has no lock, and leaves no index.
 */
function verifyLeftWal(directory: string): void {
  let lock: DatabaseSync
  try {
    lock = openLock(directory, 0)
  } catch (error) {
    if (UNLOCKED.includes(sqliteCode(error))) return
    throw error
  }
  try {
    verifyWal(directory)
  } finally {
    lock.close()
  }
}

const NOT_WRITABLE: readonly unknown[] = [Code.readonly, Code.cantopen]
const UNLOCKED: readonly unknown[] = [Code.busy, ...NOT_WRITABLE]

/** For who has the lock. Closing its files would drop the locks of those who read in this process, for whom it was verified. */
function verifyWal(directory: string): void {
  if ((readers.get(resolve(directory)) ?? 0) > 0 || isWalWhole(directory)) return
  throw new StateCorruptError(directory, 'its write-ahead log lacks what was committed, or fails its checksums')
}

/**
 * Who holds this has the directory: an fcntl lock, by way of SQLite, so that it dies with the process. It is not that of state.db itself, which would
 * keep out those who only want to read.
 */
function openLock(directory: string, busyMsMax = LOCK_WAIT_MS): DatabaseSync {
  const lock = openSqlite(join(directory, 'state.lock'), { busyMsMax })
  try {
    // Nothing is ever written to it: no journal lies beside it, which whoever looks behind a kill would take away.
    lock.exec('pragma journal_mode = memory; begin exclusive')
    return lock
  } catch (error) {
    lock.close()
    throw error
  }
}

/** Made under another name and linked into place: a state.db is complete from its first moment, so an empty one is damage. */
function create(directory: string, file: string): void {
  if (existsSync(`${file}-wal`)) throw new StateCorruptError(directory, 'state.db is missing beside its write-ahead log')
  const fresh = join(directory, `new-${process.pid}-${Date.now()}`)
  const db = openSqlite(fresh)
  db.exec(`pragma page_size = ${PAGE_BYTES}; pragma journal_mode = wal; pragma synchronous = full`)
  createSchema(db)
  db.close()
  try {
    linkSync(fresh, file)
  } catch (error) {
    if (!existsSync(file)) throw error // else another process was first: its store is as good, and the lock decides
  }
  rmSync(fresh, { force: true })
  syncDirectory(directory)
}

/**
 * The structure of the database, at about 2 s for each GB, and its rows: all of a small store, of a large one those of the small tables, where a row stands for much.
 * Whether all were verified.
 */
function check(directory: string, file: string, db: DatabaseSync, bytesMax: number): boolean {
  checkFormat(directory, file, db)
  const finding = db.prepare('pragma integrity_check(1)').get()?.integrity_check
  if (finding !== 'ok') throw new StateCorruptError(directory, String(finding))
  const whole = statSync(file).size <= bytesMax
  for (const table of whole ? TABLES : SMALL) {
    const rows = db.prepare(`select ${CHECKED[table]} from ${table}`)
    rows.setReturnArrays(true)
    for (const row of rows.iterate() as unknown as Iterable<unknown[]>) verifyRow(directory, table, row)
  }
  return whole
}

function checkFormat(directory: string, file: string, db: DatabaseSync): void {
  const application = db.prepare('pragma application_id').get()?.application_id
  if (application !== APPLICATION_ID) {
    if (statSync(file).size < PAGE_BYTES) throw new StateCorruptError(directory, 'state.db was cut off')
    throw new StateFormatError(directory, 'state.db is not a Millrace store')
  }
  const format = db.prepare('pragma user_version').get()?.user_version
  if (format !== FORMAT) throw new StateFormatError(directory, `its format is ${format}, this version reads format ${FORMAT}`)
  if (!hasSchema(db)) throw new StateCorruptError(directory, 'its tables are not those of its format')
}

/** synchronous = normal: one process's death loses nothing; a power loss loses the newest commits, never an older one. */
function configure(db: DatabaseSync): void {
  db.exec(
    `pragma journal_mode = wal; pragma synchronous = normal; pragma wal_autocheckpoint = ${WAL_BYTES / PAGE_BYTES};` +
      `pragma journal_size_limit = ${WAL_BYTES}; pragma cache_size = -${CACHE_KIB}; pragma temp_store = memory`,
  )
}

function named(directory: string, error: unknown): unknown {
  const code = sqliteCode(error)
  if (code === Code.busy) return new StateDirectoryInUseError(directory, owner(directory), { cause: error })
  if (code === Code.corrupt || code === Code.notadb || isTooLarge(error))
    return new StateCorruptError(directory, (error as Error).message, { cause: error })
  const problem = unavailable(error)
  return problem === undefined ? error : new StateUnavailableError(directory, problem, { cause: error })
}

function owner(directory: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, 'owner.json'), 'utf8'))
  } catch {
    return undefined // its owner hasn't got that far yet
  }
}

/** Somebody has removed its lock, and with it the only thing that keeps two processes apart. @throws StateDirectoryInUseError */
function refuseLiving(last: Owner, directory: string, file: string): void {
  if (last.pid === process.pid || !existsSync(file)) return
  if (hasOpen(last.pid, realpathSync(file))) throw new StateDirectoryInUseError(directory, last)
}

/** False also where nobody may know. */
function hasOpen(pid: number, file: string): boolean {
  const files = `/proc/${pid}/fd`
  const opens = (fd: string) => {
    try {
      return readlinkSync(join(files, fd)) === file
    } catch {
      return false // closed meanwhile
    }
  }
  try {
    return readdirSync(files).some(opens)
  } catch {
    return false // no such process, or another user's
  }
}

/** Who has it still, or did not close it and lost nothing of what he had written with the machine's memory. */
function ownerInThisBoot(directory: string): Owner | undefined {
  const boot = bootOfMachine()
  const last = boot === undefined ? undefined : owner(directory)
  return last?.boot === boot ? last : undefined
}

function bootOfMachine(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined // not Linux
  }
}

export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
