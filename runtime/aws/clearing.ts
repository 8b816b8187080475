import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { systemClock, systemRandom } from '../embedded/clock.ts'
import type { Clearing } from '../ports.ts'
import { objectOf } from './base-row.ts'
import { s3Blobs } from './blobs.ts'
import { caller } from './call.ts'
import { openClients } from './clients.ts'
import { eachConcurrently } from './concurrency.ts'
import { FLOOR } from './log.ts'
import { meters } from './meter.ts'
import type { AwsOptions } from './ports.ts'
import { key, type Row, references } from './row.ts'
import { type Spill, spill } from './spill.ts'
import type { TableAccess } from './table.ts'
import { batchDelete } from './table-batches.ts'

/** What rows are found and deleted by. */
const ATTRIBUTES = { text: '#pk, #sk, #object' }

/** The port on DynamoDB: pages of a scan, which reads whole tables and is billed by what it reads. Seldom needed, so it has clients of its own. */
export function awsClearing(options: Omit<AwsOptions, 'streams'>): Clearing & { close(): void } {
  const { tables, bucket, prefix, deadline, clock = systemClock, random = systemRandom } = options
  const { dynamodb, s3, close } = openClients(options)
  const call = caller({ clock, random, meters: meters(), deadline })
  const values = spill(s3Blobs(s3, bucket, `${prefix}values/`, call, random), random)
  const open = (name: string) => ({ name, resource: `table ${name}`, client: dynamodb, call, clock, random })
  return { ...dynamodbClearing(open(tables.log), open(tables.state), values), close }
}

export function dynamodbClearing(log: TableAccess, state: TableAccess, values: Spill): Clearing {
  async function clear(table: TableAccess, isLeft: (row: Row) => boolean, after: string | undefined, limit: number) {
    const { rows, next } = await scan(table, after, limit)
    const left = rows.filter(isLeft)
    const objects = left.flatMap(row => objectOf(row) ?? [])
    // Before the rows that name them: whoever dies between the two finds these again.
    await eachConcurrently(objects, object => values.delete(object))
    const keys = left.map(row => key(row.pk!.S!, row.sk!.S!))
    await batchDelete(table, keys)
    return { deleted: left.length, next }
  }

  return {
    log: (isLeft, ...page) => clear(log, row => row.sk!.S !== FLOOR && isLeft(row.pk!.S!), ...page),
    state: (isLeft, ...page) => clear(state, row => isLeft(row.pk!.S!), ...page),
  }
}

/** `after`: the key of the last row that was looked at. */
async function scan({ name, resource, client, call }: TableAccess, after: string | undefined, limit: number) {
  const command = new ScanCommand({
    TableName: name,
    ConsistentRead: true,
    Limit: limit,
    ExclusiveStartKey: after === undefined ? undefined : JSON.parse(after),
    ProjectionExpression: ATTRIBUTES.text,
    ExpressionAttributeNames: references(ATTRIBUTES).ExpressionAttributeNames,
  })
  return call({ operation: 'dynamodb.Scan', resource }, async ({ signal }) => {
    const { Items: rows = [], LastEvaluatedKey: last } = await client.send(command, { abortSignal: signal })
    return { rows, next: last && JSON.stringify(last) }
  })
}
