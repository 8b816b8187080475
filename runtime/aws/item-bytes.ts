import type { AttributeValue } from '@aws-sdk/client-dynamodb'

/** What a number takes at most. */
const NUMBER_BYTES = 21
const COLLECTION_BYTES = 3
const ELEMENT_BYTES = 1

/** As DynamoDB counts an item against its limit, rounded up a little. */
export function itemBytes(item: Readonly<Record<string, AttributeValue>>): number {
  let bytes = 0
  for (const [name, value] of Object.entries(item)) bytes += Buffer.byteLength(name) + valueBytes(value)
  return bytes
}

function valueBytes(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S)
  if (value.B !== undefined) return value.B.byteLength
  if (value.M !== undefined) return COLLECTION_BYTES + ELEMENT_BYTES * Object.keys(value.M).length + itemBytes(value.M)
  if (value.L !== undefined) return value.L.reduce((sum, v) => sum + ELEMENT_BYTES + valueBytes(v), COLLECTION_BYTES)
  if (value.SS !== undefined) return value.SS.reduce((sum, s) => sum + Buffer.byteLength(s), COLLECTION_BYTES)
  if (value.BS !== undefined) return value.BS.reduce((sum, b) => sum + b.byteLength, COLLECTION_BYTES)
  if (value.NS !== undefined) return COLLECTION_BYTES + NUMBER_BYTES * value.NS.length
  return NUMBER_BYTES
}
