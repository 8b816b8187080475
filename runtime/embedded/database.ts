import type { StatementSync } from 'node:sqlite'
import { checksum, type Table, verifySum } from './checksum.ts'
import type { Connection } from './directory.ts'
import { PortArgumentError, StateClosedError, StateCorruptError, StateUnavailableError } from './errors.ts'
import { createSchema } from './schema.ts'
import { Code, isTooLarge, openSqlite, sqliteCode, unavailable } from './sqlite.ts'

/** Calls that never wait would keep timers, sockets and signals out for ever: every so often, one of them waits for a turn of the event loop. */
const TURN_MS_MAX = 8

/** Calls and bytes (of payload, in either direction) of one port method. */
export interface Meter {
  calls: number
  bytes: number
}

/** One SQLite connection, and what the ports on it share. */
export interface Database {
  /** Undefined: in memory. */
  readonly directory: string | undefined
  /** A statement whose rows come back as arrays. */
  prepare(sql: string): StatementSync
  meter(method: string): Meter
  /** Runs one port call: synchronously, in the order of the calls; its promise resolves when what it wrote is committed. */
  call<T>(meter: Meter, work: () => T): Promise<T>
  /** Runs `work` as one transaction, inside a call. */
  transaction(work: () => void): void
  /** What a row carries to be verified by: see CHECKED. In memory: nothing. */
  sum(columns: string, data?: Uint8Array | null): number
  /** @throws StateCorruptError when a row is not what was written */
  verify(table: Table, columns: string, data: Uint8Array | null, sum: number): void
  /** All rows were verified when it was opened. */
  readonly whole: boolean
  /** What an error means to the caller. */
  named(error: unknown): unknown
  close(): void
  stats(): Record<string, number>
}

export function memoryDatabase(): Database {
  return databaseOn(undefined, openMemory())
}

/** `directory`: where it lies; undefined: in memory. */
export function databaseOn(directory: string | undefined, { db, whole, close }: Connection): Database {
  const meters = new Map<string, Meter>()
  const begin = db.prepare('begin immediate')
  const commit = db.prepare('commit')
  const rollback = db.prepare('rollback')
  const turns = turnTaking()
  let open = true

  function named(error: unknown): unknown {
    const code = sqliteCode(error)
    if (code === Code.corrupt || code === Code.notadb || isTooLarge(error))
      return new StateCorruptError(directory ?? '(memory)', (error as Error).message, { cause: error })
    const problem = unavailable(error)
    if (problem !== undefined) return new StateUnavailableError(directory, problem, { cause: error })
    return error
  }

  const inMemory = { sum: () => 0, verify: () => {} }
  const inFile = {
    sum: checksum,
    verify: verifySum.bind(undefined, directory!),
  }

  return {
    directory,
    whole,
    ...(directory === undefined ? inMemory : inFile),
    named,
    prepare(sql) {
      const statement = db.prepare(sql)
      statement.setReturnArrays(true)
      return statement
    },
    meter(method) {
      const meter = { calls: 0, bytes: 0 }
      meters.set(method, meter)
      return meter
    },
    async call(meter, work) {
      if (!open) throw new StateClosedError()
      meter.calls++
      let result: ReturnType<typeof work>
      try {
        result = work()
      } catch (error) {
        throw named(error)
      }
      if (turns.due()) await turns.next()
      return result
    },
    transaction(work) {
      begin.run()
      try {
        work()
        commit.run()
      } catch (error) {
        if (db.isTransaction) rollback.run()
        throw error
      }
    },
    close() {
      if (!open) return
      open = false
      close()
    },
    stats() {
      const flat: Record<string, number> = {}
      for (const [method, { calls, bytes }] of meters) {
        flat[`${method}.calls`] = calls
        flat[`${method}.bytes`] = bytes
      }
      return flat
    },
  }
}

/** SQLite's pages are malloc'd: state in memory is bounded by the machine, not by V8's heap. */
function openMemory(): Connection {
  const db = openSqlite(':memory:')
  db.exec('pragma temp_store = memory')
  createSchema(db)
  return { db, whole: true, close: db.close.bind(db) }
}

function turnTaking() {
  let last = performance.now()
  let waiting: Promise<void> | undefined
  return {
    due: () => performance.now() - last > TURN_MS_MAX,
    next: () => {
      waiting ??= new Promise(resolve =>
        setImmediate(() => {
          last = performance.now()
          waiting = undefined
          resolve()
        }),
      )
      return waiting
    },
  }
}

/** A key as it will be read back: a lone surrogate has no UTF-8, and two keys that differ in one would become the same. */
export function text(key: string): string {
  if (!key.isWellFormed()) throw new PortArgumentError(`key is not well-formed Unicode: ${JSON.stringify(key)}`)
  return key
}
