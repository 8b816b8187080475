import { CHECKED, type Table, verifyRow } from './checksum.ts'
import type { Database } from './database.ts'

/**
 * A row with a damaged key is not found, and may hide others: whoever looks for one of these in the B-tree ends beside it. Where rows were not verified at opening,
 * those beside a place at which nothing was found are, before that is believed.
 */
export function neighbours(db: Database, table: Table, name: string, place: string) {
  if (db.whole) return { verify() {}, verifyRange() {} }
  const before = db.prepare(
    `select ${CHECKED[table]} from ${table} where (${name}, ${place}) < (?, ?) order by ${name} desc, ${place} desc limit 1`,
  )
  const behind = db.prepare(
    `select ${CHECKED[table]} from ${table} where (${name}, ${place}) > (?, ?) order by ${name}, ${place} limit 1`,
  )

  function verifyAt(find: typeof before, ...at: [string, string | number]): void {
    const row = find.get(...at) as unknown as unknown[] | undefined
    if (row) verifyRow(db.directory!, table, row)
  }

  return {
    /** Nothing was found at this place. */
    verify(...at: [name: string, place: string | number]): void {
      verifyAt(before, ...at)
      verifyAt(behind, ...at)
    },
    /** A range from this place on was read up to `last`, the place of the last row found in it. */
    verifyRange(name: string, from: string | number, last: string | number = from): void {
      verifyAt(before, name, from)
      verifyAt(behind, name, last)
    },
  }
}
