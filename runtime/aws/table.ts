import { type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb'
import type { Clock, Random } from '../ports.ts'
import type { Call } from './call.ts'
import { type Expression, key, type Row, rowBytes } from './row.ts'
import { batchDelete, batchGet } from './table-batches.ts'
import { type QueryOptions, query } from './table-query.ts'
import { put, remove, update } from './table-writes.ts'

/** A table, and what a request to it needs. */
export interface TableAccess {
  readonly name: string
  /** For errors: `table shop-log`. */
  readonly resource: string
  readonly client: DynamoDBClient
  readonly call: Call
  readonly clock: Clock
  readonly random: Random
}

/** The few things that a port does with a table, each retried and counted. */
export interface Table {
  readonly resource: string
  /** Strongly consistent. */
  get(pk: string, sk: string): Promise<Row | undefined>
  /** Undefined: written. Otherwise the condition failed on this row, which is empty when there is none. */
  put(row: Row, condition: Expression): Promise<Row | undefined>
  /** False: the condition failed. */
  update(pk: string, sk: string, change: Expression, condition: Expression): Promise<boolean>
  /** False: the condition failed. */
  delete(pk: string, sk: string, condition: Expression): Promise<boolean>
  /**
   * At most one row a key, in no particular order. With `retry`, what the service left unprocessed is asked again; without, it comes back in
   * `unprocessed`. The keys have to differ.
   */
  batchGet(keys: readonly Row[], options: { consistent: boolean; retry: boolean }): Promise<{ rows: Row[]; unprocessed: Row[] }>
  /** Deletes without condition, whether there or not. */
  batchDelete(keys: readonly Row[]): Promise<void>
  /** Pages of a strongly consistent query, in order of the sort key. */
  query(options: QueryOptions): AsyncGenerator<Row[]>
}

export function openTable(name: string, client: DynamoDBClient, call: Call, clock: Clock, random: Random): Table {
  const access: TableAccess = { name, resource: `table ${name}`, client, call, clock, random }
  return {
    resource: access.resource,
    get: (pk, sk) => get(access, pk, sk),
    put: (row, condition) => put(access, row, condition),
    update: (pk, sk, change, condition) => update(access, pk, sk, change, condition),
    delete: (pk, sk, condition) => remove(access, pk, sk, condition),
    batchGet: (keys, options) => batchGet(access, keys, options),
    batchDelete: keys => batchDelete(access, keys),
    query: options => query(access, options),
  }
}

function get({ name, resource, client, call }: TableAccess, pk: string, sk: string): Promise<Row | undefined> {
  return call({ operation: 'dynamodb.GetItem', resource }, async ({ signal, meter }) => {
    const command = new GetItemCommand({
      TableName: name,
      Key: key(pk, sk),
      ConsistentRead: true,
      ReturnConsumedCapacity: 'TOTAL',
    })
    const { Item, ConsumedCapacity } = await client.send(command, { abortSignal: signal })
    meter.readUnits += ConsumedCapacity?.CapacityUnits ?? 0
    if (Item !== undefined) meter.bytes += rowBytes(Item)
    return Item
  })
}
