import type { DatabaseSync } from 'node:sqlite'
import { openSqlite } from './sqlite.ts'

/** 'Mill' in ASCII. */
export const APPLICATION_ID = 0x4d696c6c
/** Raise with every change below that an older version could not read. */
export const FORMAT = 2

/**
 * Text compares as UTF-8 bytes (SQLite's BINARY collation), which is DynamoDB's order too.
 * `sum`: see checksum.ts.
 * `frames.id` is channel * 2^36 + sequence: a B-tree on one integer takes big rows 1.5 times as fast as one on (channel, sequence).
 */
const SCHEMA = `
  create table channels (id integer primary key, stream text not null, shard integer not null, trimmed integer not null, sum integer not null, unique (stream, shard)) strict;
  create table frames (id integer primary key, arrived real not null, data blob not null, sum integer not null) strict;
  create table slots (log text, version integer, item blob not null, sum integer not null, primary key (log, version)) strict, without rowid;
  create table floors (log text primary key, floor integer not null, sum integer not null) strict, without rowid;
  create table base (pk text, sk text, v integer not null, value blob, expiry real, sum integer not null, primary key (pk, sk)) strict, without rowid;
  create table blobs (key text primary key, data blob, file text, bytes integer not null, sum integer not null) strict;
`

export function createSchema(db: DatabaseSync): void {
  db.exec(`begin; ${SCHEMA} pragma application_id = ${APPLICATION_ID}; pragma user_version = ${FORMAT}; commit`)
}

/** Has it the tables of this format? SQLite believes what a database says of them. */
export function hasSchema(db: DatabaseSync): boolean {
  const schemaOf = (db: DatabaseSync) => db.prepare('select type, name, tbl_name, sql from sqlite_schema').all()
  const fresh = openSqlite(':memory:')
  createSchema(fresh)
  const found = new Set(schemaOf(db).map(row => JSON.stringify(row)))
  const missing = schemaOf(fresh).filter(row => !found.has(JSON.stringify(row)))
  fresh.close()
  return missing.length === 0
}
