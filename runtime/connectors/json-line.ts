import { ConnectorError, reasonOf } from './error.ts'

/**
 * A value as one line of JSON, newline included. `toJSON` is honoured, as everywhere; a field that holds bytes (a dead letter's `raw`) becomes text if it
 * is UTF-8, `base64:…` otherwise, a Buffer too. Throws ConnectorError for what JSON can't hold:
 * a bigint, a cycle, or undefined and functions as the whole value. `where` names the sink.
 */
export function jsonLine(value: unknown, where: string): string {
  let json: string | undefined
  try {
    json = holdsBytes(value) ? JSON.stringify(value, bytesAsText) : JSON.stringify(value)
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

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const BASE64 = 'base64:'

/** Bytes as JSON has them, wherever Millrace writes some: text if they are UTF-8, else `base64:…`. Text that itself begins so is encoded as well, so that nobody has to guess. */
export function bytesText(bytes: Uint8Array): string {
  try {
    const text = utf8.decode(bytes)
    if (!text.startsWith(BASE64)) return text
  } catch {
    // no text
  }
  return BASE64 + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** `this` holds the field as it is: `value` is what a Buffer's own toJSON has made of it, a list of numbers. */
function bytesAsText(this: Readonly<Record<string, unknown>>, field: string, value: unknown): unknown {
  const own = this[field]
  return own instanceof Uint8Array ? bytesText(own) : value
}

function hasBigInt(error: unknown): boolean {
  return error instanceof TypeError && /BigInt/.test(error.message)
}
