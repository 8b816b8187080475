import { crc32 } from 'node:zlib'
import { StateCorruptError } from './errors.ts'

/** Of a row's columns, in the order of CHECKED and with a NUL between them, and of its data. What the row holds elsewhere, under another key or in part, has another one. */
export function checksum(columns: string, data?: Uint8Array | null): number {
  return data ? crc32(data, crc32(columns)) : crc32(columns)
}

/** By table, what a checksum is of: columns, then data, then the checksum. */
export const CHECKED = {
  channels: 'id, stream, shard, trimmed, null, sum',
  frames: 'id, arrived, data, sum',
  slots: 'log, version, item, sum',
  floors: 'log, floor, null, sum',
  base: 'pk, sk, v, expiry, value is null, value, sum',
  blobs: 'key, file, bytes, data, sum',
} as const
export type Table = keyof typeof CHECKED

/** A row as selected by CHECKED. @throws StateCorruptError when it is not what was written */
export function verifyRow(directory: string, table: Table, row: readonly unknown[]): void {
  const [data, sum] = row.slice(-2)
  verifySum(directory, table, row.slice(0, -2).join('\0'), data, sum)
}

/** The same, of its columns already put together. */
export function verifySum(directory: string, table: Table, columns: string, data: unknown, sum: unknown): void {
  if (isData(data) && checksum(columns, data) === sum) return
  throw new StateCorruptError(directory, `a row of its table '${table}' is not what was written: it fails its checksum`)
}

/** A damaged row may hold a column of another type. */
function isData(value: unknown): value is Uint8Array | null {
  return value === null || value instanceof Uint8Array
}
