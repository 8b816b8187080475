import { type ConsumedCapacity, DeleteItemCommand, PutItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { isNamed } from './classify.ts'
import { type Expression, key, type Row, references, rowBytes } from './row.ts'
import type { TableAccess } from './table.ts'

const WRITE_UNIT_BYTES = 1024

export async function put(access: TableAccess, row: Row, condition: Expression): Promise<Row | undefined> {
  const command = new PutItemCommand({
    TableName: access.name,
    Item: row,
    ConditionExpression: condition.text,
    ...references(condition),
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    ReturnConsumedCapacity: 'TOTAL',
  })
  return conditionally(access, 'dynamodb.PutItem', rowBytes(row), abortSignal => access.client.send(command, { abortSignal }))
}

export async function update(
  access: TableAccess,
  pk: string,
  sk: string,
  change: Expression,
  condition: Expression,
): Promise<boolean> {
  const command = new UpdateItemCommand({
    TableName: access.name,
    Key: key(pk, sk),
    UpdateExpression: change.text,
    ConditionExpression: condition.text,
    ...references(change, condition),
    ReturnConsumedCapacity: 'TOTAL',
  })
  const failed = await conditionally(access, 'dynamodb.UpdateItem', 0, abortSignal =>
    access.client.send(command, { abortSignal }),
  )
  return failed === undefined
}

export async function remove(access: TableAccess, pk: string, sk: string, condition: Expression): Promise<boolean> {
  const command = new DeleteItemCommand({
    TableName: access.name,
    Key: key(pk, sk),
    ConditionExpression: condition.text,
    ...references(condition),
    ReturnConsumedCapacity: 'TOTAL',
  })
  const failed = await conditionally(access, 'dynamodb.DeleteItem', 0, abortSignal =>
    access.client.send(command, { abortSignal }),
  )
  return failed === undefined
}

/** Undefined: done. Otherwise the row on which the condition failed, as far as it was asked for. */
async function conditionally(
  { call, resource }: TableAccess,
  operation: string,
  bytes: number,
  send: (signal: AbortSignal) => Promise<{ ConsumedCapacity?: ConsumedCapacity }>,
): Promise<Row | undefined> {
  try {
    await call({ operation, resource, expected: isConditionFailure }, async ({ signal, meter }) => {
      meter.bytes += bytes
      try {
        // Not in one expression with the addition: that would add to what the meter said before the wait.
        const { ConsumedCapacity } = await send(signal)
        meter.writeUnits += ConsumedCapacity?.CapacityUnits ?? 0
      } catch (error) {
        // A failed condition is billed like the write, and its answer does not say how much that was.
        if (isConditionFailure(error)) meter.writeUnits += Math.max(1, Math.ceil(bytes / WRITE_UNIT_BYTES))
        throw error
      }
    })
    return undefined
  } catch (error) {
    if (!isConditionFailure(error)) throw error
    return (error as { Item?: Row }).Item ?? {}
  }
}

function isConditionFailure(error: unknown): boolean {
  return isNamed(error, 'ConditionalCheckFailedException')
}
