import { BatchGetItemCommand, BatchWriteItemCommand, type WriteRequest } from '@aws-sdk/client-dynamodb'
import { waitMsMax } from './call.ts'
import { chunked, eachConcurrently } from './concurrency.ts'
import { ThrottledError } from './errors.ts'
import { type Row, rowBytes } from './row.ts'
import type { TableAccess } from './table.ts'

const GET_KEYS_MAX = 100
const DELETE_KEYS_MAX = 25
/** Batches in a row of which nothing at all was processed. */
const BARREN_MAX = 12

export async function batchGet(
  access: TableAccess,
  keys: readonly Row[],
  { consistent, retry }: { consistent: boolean; retry: boolean },
): Promise<{ rows: Row[]; unprocessed: Row[] }> {
  const rows: Row[] = []
  const unprocessed: Row[] = []
  await eachConcurrently(chunked(keys, GET_KEYS_MAX), async chunk => {
    const send = (left: readonly Row[]) => getOnce(access, left, consistent, rows)
    if (retry) await untilProcessed(access, 'BatchGetItem', chunk, send)
    else unprocessed.push(...(await send(chunk)))
  })
  return { rows, unprocessed }
}

export async function batchDelete(access: TableAccess, keys: readonly Row[]): Promise<void> {
  await eachConcurrently(chunked(keys, DELETE_KEYS_MAX), chunk => {
    const requests: WriteRequest[] = chunk.map(Key => ({ DeleteRequest: { Key } }))
    return untilProcessed(access, 'BatchWriteItem', requests, left => writeOnce(access, left))
  })
}

/** Sends again what `send` says was left. At once when it made some progress (an answer has a limit of bytes), else after a while. */
async function untilProcessed<T>(
  { resource, clock, random }: TableAccess,
  operation: string,
  all: readonly T[],
  send: (left: readonly T[]) => Promise<readonly T[]>,
): Promise<void> {
  for (let left = all, barren = 0; ; ) {
    const before = left.length
    left = await send(left)
    if (left.length === 0) return
    barren = left.length === before ? barren + 1 : 0
    if (barren === BARREN_MAX) {
      throw new ThrottledError(
        resource,
        `${resource} left all ${before} keys of ${operation} undone ${barren} times: give it more throughput`,
      )
    }
    if (barren > 0) await clock.sleep(random.fraction() * waitMsMax(barren))
  }
}

/** Adds the rows that came, and answers with the keys that were not looked at. */
function getOnce(
  { name, resource, client, call }: TableAccess,
  keys: readonly Row[],
  consistent: boolean,
  rows: Row[],
): Promise<Row[]> {
  return call({ operation: 'dynamodb.BatchGetItem', resource }, async ({ signal, meter }) => {
    const RequestItems = { [name]: { Keys: [...keys], ConsistentRead: consistent } }
    const command = new BatchGetItemCommand({ RequestItems, ReturnConsumedCapacity: 'TOTAL' })
    const { Responses, UnprocessedKeys, ConsumedCapacity = [] } = await client.send(command, { abortSignal: signal })
    for (const used of ConsumedCapacity) meter.readUnits += used.CapacityUnits ?? 0
    for (const row of Responses?.[name] ?? []) {
      meter.bytes += rowBytes(row)
      rows.push(row)
    }
    return UnprocessedKeys?.[name]?.Keys ?? []
  })
}

function writeOnce({ name, resource, client, call }: TableAccess, requests: readonly WriteRequest[]): Promise<WriteRequest[]> {
  return call({ operation: 'dynamodb.BatchWriteItem', resource }, async ({ signal, meter }) => {
    const command = new BatchWriteItemCommand({ RequestItems: { [name]: [...requests] }, ReturnConsumedCapacity: 'TOTAL' })
    const { UnprocessedItems, ConsumedCapacity = [] } = await client.send(command, { abortSignal: signal })
    for (const used of ConsumedCapacity) meter.writeUnits += used.CapacityUnits ?? 0
    return UnprocessedItems?.[name] ?? []
  })
}
