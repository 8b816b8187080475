import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import type { BaseItem } from '../ports.ts'
import { key, PARTITION_KEY, type Row, SORT_KEY } from './row.ts'

/**
 * Begins every sort key, because DynamoDB takes no empty ones. Rows: `v`; `value`, or `object` where it lies outside; neither in a tombstone; `expiry`.
 */
const SORT_PREFIX = ':'

export function sortKey(sk: string): string {
  return SORT_PREFIX + sk
}

export function toRow({ pk, sk, v, value, expiry }: BaseItem, object: string | undefined): Row {
  const row: Row = { ...key(pk, sortKey(sk)), v: number(v) }
  if (object !== undefined) row.object = { S: object }
  else if (value !== undefined) row.value = { B: value }
  if (expiry !== undefined) row.expiry = number(expiry)
  return row
}

/** `value`: of the row's object, if it has one. */
export function fromRow(row: Row, value: Uint8Array | undefined): BaseItem {
  const item = {
    pk: row[PARTITION_KEY]!.S!,
    sk: row[SORT_KEY]!.S!.slice(SORT_PREFIX.length),
    v: versionOf(row),
    value: row.value?.B ?? value,
  }
  return row.expiry === undefined ? item : { ...item, expiry: Number(row.expiry.N ?? row.expiry.S) }
}

/** -1 where no row is. */
export function versionOf(row: Row): number {
  return row.v === undefined ? -1 : Number(row.v.N)
}

export function objectOf(row: Row): string | undefined {
  return row.object?.S
}

/** What is never over (an expiry of Infinity) is no number for DynamoDB; as a text it is less than none. */
export function number(value: number): AttributeValue {
  return Number.isFinite(value) ? { N: String(value) } : { S: String(value) }
}
