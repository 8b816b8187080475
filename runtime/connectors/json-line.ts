import { ConnectorError, reasonOf } from './error.ts'

/**
 * A value as one line of JSON, newline included. `toJSON` is honoured, as everywhere. Throws ConnectorError for what JSON can't hold:
 * a bigint, a cycle, or undefined and functions as the whole value. `where` names the sink.
 */
export function jsonLine(value: unknown, where: string): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (error) {
    const reason = hasBigInt(error) ? 'it holds a bigint: map it to a string or a number first' : reasonOf(error)
    throw new ConnectorError(`${where} can't write a record as JSON: ${reason}`, { cause: error })
  }
  if (json === undefined) throw new ConnectorError(`${where} can't write a record as JSON: it is ${typeof value}`)
  return `${json}\n`
}

function hasBigInt(error: unknown): boolean {
  return error instanceof TypeError && /BigInt/.test(error.message)
}
