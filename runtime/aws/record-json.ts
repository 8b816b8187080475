import { ConnectorError } from '../connectors/error.ts'
import { jsonLine } from '../connectors/json-line.ts'

/** What a record's id is called among its fields, where a service has no place of its own for it. */
export const ID_FIELD = 'millrace_id'

/** The record as JSON. `id`: as a field of it, if it is an object. */
export function recordJson(value: unknown, where: string, id?: string): string {
  // Behind all others: of two fields of one name the last one counts.
  const json = jsonLine(value, where).slice(0, -1)
  if (id === undefined || !json.startsWith('{')) return json
  return `${json.slice(0, -1)}${json === '{}' ? '' : ','}"${ID_FIELD}":"${id}"}`
}

/** Refuses what the service would refuse later, when nobody can do anything about it. */
export function checkBytes(where: string, bytes: number, bytesMax: number): void {
  if (bytes > bytesMax)
    throw new ConnectorError(
      `${where} got a record of ${bytes} bytes, and the service takes ${bytesMax} at most: leave fields out, or store it elsewhere and send where`,
    )
}
