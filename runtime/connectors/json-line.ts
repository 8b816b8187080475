import { ConnectorError, reasonOf } from './error.ts'

/**
 * A value as one line of JSON, newline included. `toJSON` is honoured, as everywhere; a field that holds bytes (a dead letter's `raw`) becomes base64. Throws ConnectorError for what JSON can't hold:
 * a bigint, a cycle, or undefined and functions as the whole value. `where` names the sink.
 */
export function jsonLine(value: unknown, where: string): string {
  let json: string | undefined
  try {
    json = holdsBytes(value) ? JSON.stringify(value, bytesAsBase64) : JSON.stringify(value)
  } catch (error) {
    const reason = hasBigInt(error) ? 'it holds a bigint: map it to a string or a number first' : reasonOf(error)
    throw new ConnectorError(`${where} can't write a record as JSON: ${reason}`, { cause: error })
  }
  if (json === undefined) throw new ConnectorError(`${where} can't write a record as JSON: it is ${typeof value}`)
  return `${json}\n`
}

/** Looked for in the record's own fields only: a replacer would make every record dear. */
function holdsBytes(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  for (const field in value) if ((value as Record<string, unknown>)[field] instanceof Uint8Array) return true
  return false
}

function bytesAsBase64(_field: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') : value
}

function hasBigInt(error: unknown): boolean {
  return error instanceof TypeError && /BigInt/.test(error.message)
}
