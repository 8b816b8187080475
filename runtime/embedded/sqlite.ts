import type { DatabaseSync } from 'node:sqlite'
import { fileReason } from '../connectors/error.ts'

type Emit = (warning: string | Error, ...rest: unknown[]) => void

/** node:sqlite, without the ExperimentalWarning that Node before 24.15 prints when it's loaded; other warnings pass. */
function load(): typeof import('node:sqlite') {
  const emit = process.emitWarning
  const quiet: Emit = (warning, ...rest) => {
    if (String(warning).includes('SQLite is an experimental feature')) return
    ;(emit as Emit).call(process, warning, ...rest)
  }
  process.emitWarning = quiet as typeof emit
  try {
    return process.getBuiltinModule('node:sqlite')
  } finally {
    process.emitWarning = emit
  }
}

const sqlite = load()

/** `busyMsMax`: how long a statement waits for another's lock. */
export function openSqlite(file: string | URL, { busyMsMax = 0, readOnly = false } = {}): DatabaseSync {
  return new sqlite.DatabaseSync(file, { timeout: busyMsMax, readOnly })
}

/** SQLite's primary result code of an error; undefined for errors that aren't SQLite's. */
export function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** A number that JavaScript has none for: none is written. */
export function isTooLarge(error: unknown): boolean {
  return (
    (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_OUT_OF_RANGE' &&
    /^Value is too large/.test((error as Error).message)
  )
}

/** https://sqlite.org/rescode.html */
export const Code = { busy: 5, nomem: 7, readonly: 8, ioerr: 10, corrupt: 11, full: 13, cantopen: 14, notadb: 26 } as const

const UNAVAILABLE: readonly number[] = [Code.nomem, Code.readonly, Code.ioerr, Code.full, Code.cantopen]
const UNAVAILABLE_FILE: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO', 'EROFS', 'EACCES', 'EPERM', 'EMFILE', 'ENFILE']

/** Why the disk or memory refused a statement of SQLite, or a file; undefined: that is not what went wrong. */
export function unavailable(error: unknown): string | undefined {
  const code = sqliteCode(error)
  if (code === Code.full) return 'the disk is full'
  if (code !== undefined) return UNAVAILABLE.includes(code) ? (error as Error).message : undefined
  return UNAVAILABLE_FILE.includes((error as NodeJS.ErrnoException | undefined)?.code) ? fileReason(error) : undefined
}
