import {
  type AttributeValue,
  BatchGetItemCommand,
  BatchWriteItemCommand,
  type ConsumedCapacity,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { PortArgumentError } from '../embedded/errors.ts'
import type { Clock, Random } from '../ports.ts'
import { type Call, type Try, waitMsMax } from './call.ts'
import { isNamed } from './classify.ts'
import { chunked, eachConcurrently } from './concurrency.ts'
import { ThrottledError } from './errors.ts'

/** Every table has the same key: a partition and, in it, an order by UTF-8 bytes. The construct makes them so. */
export const PARTITION_KEY = 'pk'
export const SORT_KEY = 'sk'

const GET_KEYS_MAX = 100
const WRITE_KEYS_MAX = 25
const PARTITION_BYTES_MAX = 2048
/** Two less than DynamoDB's: a range that goes on behind the longest key names a longer one. */
const SORT_BYTES_MAX = 1022
/** Tries in a row of a batch of which nothing at all is processed. */
const BARREN_TRIES_MAX = 12
const WRITE_UNIT_BYTES = 1024

export type Row = Record<string, AttributeValue>
export type Values = Record<string, AttributeValue>

/** A condition, filter or update, with `#name` standing for the attribute `name` (many plain names are reserved words). */
export interface Expression {
  readonly text: string
  readonly values?: Values
}

export interface QueryOptions {
  readonly pk: string
  /** Both inclusive. */
  readonly from: string
  readonly to: string
  readonly filter?: Expression
  /** Attributes to answer with; all when absent. */
  readonly attributes?: readonly string[]
  readonly limit?: number
}

export interface Table {
  /** For errors: `table shop-log`. */
  readonly resource: string
  /** Strongly consistent. */
  get(pk: string, sk: string): Promise<Row | undefined>
  /** Undefined: written. Otherwise the condition failed on this row, which is empty when there is none. */
  put(row: Row, condition: Expression): Promise<Row | undefined>
  /** Undefined: done. Otherwise the condition failed on this row. */
  update(pk: string, sk: string, update: Expression, condition: Expression): Promise<Row | undefined>
  /** False: the condition failed. */
  delete(pk: string, sk: string, condition: Expression): Promise<boolean>
  /**
   * At most one row a key, in no particular order. With `retry`, what the service left unprocessed is asked again; without, it is in `unprocessed`. The keys have to differ.
   */
  batchGet(keys: readonly Row[], options: { consistent: boolean; retry: boolean }): Promise<{ rows: Row[]; unprocessed: Row[] }>
  /** Deletes without condition, whether there or not. */
  batchDelete(keys: readonly Row[]): Promise<void>
  /** Pages of a strongly consistent query, in order of the sort key. */
  query(options: QueryOptions): AsyncGenerator<Row[]>
}

/** The key of a row, checked: a lone surrogate has no UTF-8, and two keys that differ in one would become the same. */
export function key(pk: string, sk: string): Row {
  check('partition key', pk, PARTITION_BYTES_MAX)
  check('sort key', sk, SORT_BYTES_MAX)
  return { [PARTITION_KEY]: { S: pk }, [SORT_KEY]: { S: sk } }
}

function check(what: string, text: string, bytesMax: number): void {
  if (!text.isWellFormed()) throw new PortArgumentError(`${what} is not well-formed Unicode: ${JSON.stringify(text)}`)
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax)
    throw new PortArgumentError(
      `${what} has ${bytes} bytes, and DynamoDB takes ${bytesMax} at most: key by something shorter, a hash perhaps, than ${JSON.stringify(text.slice(0, 100))}…`,
    )
}

export function openTable(name: string, client: DynamoDBClient, call: Call, clock: Clock, random: Random): Table {
  const resource = `table ${name}`

  const conditional = async (
    operation: string,
    bytes: number,
    send: (attempt: Try) => Promise<{ ConsumedCapacity?: ConsumedCapacity }>,
  ) => {
    try {
      await call({ operation, resource, expected: isConditionFailure }, async attempt => {
        attempt.meter.bytes += bytes
        try {
          attempt.meter.writeUnits += (await send(attempt)).ConsumedCapacity?.CapacityUnits ?? 0
        } catch (error) {
          // A failed condition is billed like a write, and its answer does not say how much that was.
          if (isConditionFailure(error)) attempt.meter.writeUnits += Math.max(1, Math.ceil(bytes / WRITE_UNIT_BYTES))
          throw error
        }
      })
      return undefined
    } catch (error) {
      if (isConditionFailure(error)) return (error as { Item?: Row }).Item ?? {}
      throw error
    }
  }

  /** Waits between batches that come back with leftovers: not at all when the last one made some progress (answers have a limit of bytes). */
  async function patience(barren: number, operation: string): Promise<void> {
    if (barren === 0) return
    if (barren >= BARREN_TRIES_MAX)
      throw new ThrottledError(
        resource,
        `${resource} left all keys of ${operation} unprocessed ${barren} times: give it more throughput`,
      )
    await clock.sleep(random.fraction() * waitMsMax(barren))
  }

  async function getChunk(keys: Row[], consistent: boolean, retry: boolean, rows: Row[]): Promise<Row[]> {
    let left = keys
    for (let barren = 0; left.length > 0; ) {
      const asked = left.length
      const answer = await call({ operation: 'dynamodb.BatchGetItem', resource }, async ({ signal, meter }) => {
        const RequestItems = { [name]: { Keys: left, ConsistentRead: consistent } }
        const got = await client.send(new BatchGetItemCommand({ RequestItems, ReturnConsumedCapacity: 'TOTAL' }), {
          abortSignal: signal,
        })
        for (const used of got.ConsumedCapacity ?? []) meter.readUnits += used.CapacityUnits ?? 0
        for (const row of got.Responses?.[name] ?? []) meter.bytes += rowBytes(row)
        return got
      })
      rows.push(...(answer.Responses?.[name] ?? []))
      left = answer.UnprocessedKeys?.[name]?.Keys ?? []
      if (!retry) break
      barren = left.length === asked ? barren + 1 : 0
      if (left.length > 0) await patience(barren, 'BatchGetItem')
    }
    return left
  }

  async function deleteChunk(keys: Row[]): Promise<void> {
    let left = keys.map(Key => ({ DeleteRequest: { Key } }))
    for (let barren = 0; left.length > 0; ) {
      const asked = left.length
      const answer = await call({ operation: 'dynamodb.BatchWriteItem', resource }, async ({ signal, meter }) => {
        const command = new BatchWriteItemCommand({ RequestItems: { [name]: left }, ReturnConsumedCapacity: 'TOTAL' })
        const done = await client.send(command, { abortSignal: signal })
        for (const used of done.ConsumedCapacity ?? []) meter.writeUnits += used.CapacityUnits ?? 0
        return done
      })
      left = (answer.UnprocessedItems?.[name] ?? []) as typeof left
      barren = left.length === asked ? barren + 1 : 0
      if (left.length > 0) await patience(barren, 'BatchWriteItem')
    }
  }

  return {
    resource,
    get: (pk, sk) =>
      call({ operation: 'dynamodb.GetItem', resource }, async ({ signal, meter }) => {
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
      }),
    put: (row, condition) =>
      conditional('dynamodb.PutItem', rowBytes(row), ({ signal }) =>
        client.send(
          new PutItemCommand({
            TableName: name,
            Item: row,
            ConditionExpression: condition.text,
            ...references(condition),
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
            ReturnConsumedCapacity: 'TOTAL',
          }),
          { abortSignal: signal },
        ),
      ),
    update: (pk, sk, update, condition) =>
      conditional('dynamodb.UpdateItem', 0, ({ signal }) =>
        client.send(
          new UpdateItemCommand({
            TableName: name,
            Key: key(pk, sk),
            UpdateExpression: update.text,
            ConditionExpression: condition.text,
            ...references(update, condition),
            ReturnConsumedCapacity: 'TOTAL',
          }),
          { abortSignal: signal },
        ),
      ),
    delete: async (pk, sk, condition) =>
      (await conditional('dynamodb.DeleteItem', 0, ({ signal }) =>
        client.send(
          new DeleteItemCommand({
            TableName: name,
            Key: key(pk, sk),
            ConditionExpression: condition.text,
            ...references(condition),
            ReturnConsumedCapacity: 'TOTAL',
          }),
          { abortSignal: signal },
        ),
      )) === undefined,
    async batchGet(keys, { consistent, retry }) {
      const rows: Row[] = []
      const unprocessed: Row[] = []
      await eachConcurrently(chunked(keys, GET_KEYS_MAX), async chunk => {
        unprocessed.push(...(await getChunk(chunk, consistent, retry, rows)))
      })
      return { rows, unprocessed }
    },
    batchDelete: keys => eachConcurrently(chunked(keys, WRITE_KEYS_MAX), deleteChunk),
    async *query({ pk, from, to, filter, attributes, limit }) {
      const range: Expression = {
        text: `#${PARTITION_KEY} = :pk AND #${SORT_KEY} BETWEEN :from AND :to`,
        values: { ':pk': { S: pk }, ':from': { S: from }, ':to': { S: to } },
      }
      const projection = attributes && { text: attributes.map(attribute => `#${attribute}`).join(', ') }
      let left = limit
      if (left !== undefined && left < 1) return
      for (let start: Row | undefined; ; ) {
        const answer = await call({ operation: 'dynamodb.Query', resource }, async ({ signal, meter }) => {
          const page = await client.send(
            new QueryCommand({
              TableName: name,
              KeyConditionExpression: range.text,
              FilterExpression: filter?.text,
              ProjectionExpression: projection?.text,
              ...references(range, filter, projection),
              Limit: left,
              ExclusiveStartKey: start,
              ConsistentRead: true,
              ReturnConsumedCapacity: 'TOTAL',
            }),
            { abortSignal: signal },
          )
          meter.readUnits += page.ConsumedCapacity?.CapacityUnits ?? 0
          for (const row of page.Items ?? []) meter.bytes += rowBytes(row)
          return page
        })
        const rows = answer.Items ?? []
        yield rows
        if (left !== undefined) left -= rows.length
        start = answer.LastEvaluatedKey
        if (start === undefined || left === 0) return
      }
    },
  }
}

function isConditionFailure(error: unknown): boolean {
  return isNamed(error, 'ConditionalCheckFailedException')
}

/** The names and values that expressions refer to. */
function references(...expressions: readonly (Expression | undefined)[]) {
  const names: Record<string, string> = {}
  const values: Values = {}
  for (const expression of expressions) {
    if (expression === undefined) continue
    for (const [reference, attribute] of expression.text.matchAll(/#(\w+)/g)) names[reference] = attribute!
    Object.assign(values, expression.values)
  }
  return {
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: Object.keys(values).length === 0 ? undefined : values,
  }
}

/** As DynamoDB counts an item against its limit, rounded up a little. */
export function rowBytes(row: Row): number {
  let bytes = 0
  for (const [attribute, value] of Object.entries(row)) {
    bytes += Buffer.byteLength(attribute)
    if (value.B !== undefined) bytes += value.B.byteLength
    else if (value.S !== undefined) bytes += Buffer.byteLength(value.S)
    else bytes += NUMBER_BYTES
  }
  return bytes
}

const NUMBER_BYTES = 21
