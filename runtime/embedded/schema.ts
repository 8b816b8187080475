import type { DatabaseSync } from 'node:sqlite'

/** 'Mill' in ASCII. */
export const APPLICATION_ID = 0x4d696c6c
/** Raise with every change below that an older version could not read. */
export const FORMAT = 1

/**
 * Text compares as UTF-8 bytes (SQLite's BINARY collation), which is DynamoDB's order too.
 * `frames.id` is channel * 2^36 + sequence: a B-tree on one integer takes big rows 1.5 times as fast as one on (channel, sequence).
 */
const SCHEMA = `
  create table channels (id integer primary key, stream text not null, shard integer not null, trimmed integer not null, unique (stream, shard)) strict;
  create table frames (id integer primary key, arrived real not null, data blob not null) strict;
  create table slots (log text, version integer, item blob not null, primary key (log, version)) strict, without rowid;
  create table floors (log text primary key, floor integer not null) strict, without rowid;
  create table base (pk text, sk text, v integer not null, value blob, expiry real, primary key (pk, sk)) strict, without rowid;
  create table blobs (key text primary key, data blob, file text, bytes integer not null) strict;
`

export function createSchema(db: DatabaseSync): void {
  db.exec(`begin; ${SCHEMA} pragma application_id = ${APPLICATION_ID}; pragma user_version = ${FORMAT}; commit`)
}
