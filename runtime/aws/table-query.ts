import { QueryCommand } from '@aws-sdk/client-dynamodb'
import { type Expression, PARTITION_KEY, type Row, references, rowBytes, SORT_KEY } from './row.ts'
import type { TableAccess } from './table.ts'

export interface QueryOptions {
  readonly pk: string
  /** Both inclusive. */
  readonly from: string
  readonly to: string
  readonly filter?: Expression
  /** Attributes to answer with; all when absent. What is read is billed whole, either way. */
  readonly attributes?: readonly string[]
  /** Rows at most, counted before the filter. */
  readonly limit?: number
}

export async function* query(access: TableAccess, options: QueryOptions): AsyncGenerator<Row[]> {
  const { pk, from, to, filter, attributes, limit } = options
  const range: Expression = {
    text: `#${PARTITION_KEY} = :pk AND #${SORT_KEY} BETWEEN :from AND :to`,
    values: { ':pk': { S: pk }, ':from': { S: from }, ':to': { S: to } },
  }
  const projection = attributes && { text: attributes.map(attribute => `#${attribute}`).join(', ') }
  const request = {
    TableName: access.name,
    KeyConditionExpression: range.text,
    FilterExpression: filter?.text,
    ProjectionExpression: projection?.text,
    ...references(range, filter, projection),
    ConsistentRead: true,
    ReturnConsumedCapacity: 'TOTAL',
  } as const
  let left = limit
  for (let start: Row | undefined; left === undefined || left > 0; ) {
    const command = new QueryCommand({ ...request, Limit: left, ExclusiveStartKey: start })
    const page = await access.call({ operation: 'dynamodb.Query', resource: access.resource }, async ({ signal, meter }) => {
      const answer = await access.client.send(command, { abortSignal: signal })
      meter.readUnits += answer.ConsumedCapacity?.CapacityUnits ?? 0
      for (const row of answer.Items ?? []) meter.bytes += rowBytes(row)
      return answer
    })
    const rows = page.Items ?? []
    yield rows
    if (left !== undefined) left -= rows.length
    start = page.LastEvaluatedKey
    if (start === undefined) return
  }
}
