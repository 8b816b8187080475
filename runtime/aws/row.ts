import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { PortArgumentError } from '../embedded/errors.ts'

/** Every table has the same key: a partition and, in it, an order by UTF-8 bytes. The construct makes them so. */
export const PARTITION_KEY = 'pk'
export const SORT_KEY = 'sk'

const PARTITION_BYTES_MAX = 2048
/** Two less than DynamoDB's: a range that goes on behind the longest key names a longer one. */
const SORT_BYTES_MAX = 1022
/** What a number takes at most. */
const NUMBER_BYTES = 21

export type Row = Record<string, AttributeValue>

/** The key of a row, checked: a lone surrogate has no UTF-8, and two keys that differ in one would become the same. */
export function key(pk: string, sk: string): Row {
  check('partition key', pk, PARTITION_BYTES_MAX)
  check('sort key', sk, SORT_BYTES_MAX)
  return { [PARTITION_KEY]: { S: pk }, [SORT_KEY]: { S: sk } }
}

function check(what: string, text: string, bytesMax: number): void {
  if (!text.isWellFormed()) throw new PortArgumentError(`${what} is not well-formed Unicode: ${JSON.stringify(text)}`)
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax) {
    throw new PortArgumentError(
      `${what} has ${bytes} bytes, and DynamoDB takes ${bytesMax} at most: use a shorter key, a hash perhaps, than ${JSON.stringify(text.slice(0, 100))}…`,
    )
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

/** A condition, filter, projection or update, with `#name` standing for the attribute `name`: many plain names are reserved words. */
export interface Expression {
  readonly text: string
  readonly values?: Row
}

/** The names and values that expressions refer to. */
export function references(...expressions: readonly (Expression | undefined)[]) {
  const names: Record<string, string> = {}
  const values: Row = {}
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
