import { Readable } from 'node:stream'
import { parse } from 'csv-parse'
import { ConnectorError, reasonOf } from '../connectors/error.ts'
import type { SplitReader } from '../connectors/source.ts'
import { cellValue, rowBatch, rowText } from './row-text.ts'

/** Rows that become one batch. */
const BATCH_ROWS = 5000

/** Reads CSV (RFC 4180, quotes and newlines in them included) whose first row names the columns, each row as the JSON text of an object by column. */
export function openCsv(path: string, content: AsyncIterable<Uint8Array>): SplitReader {
  const columns = (names: string[]) => distinct(path, names)
  // Each where it stands: a header that was put in front of rows of another system ends otherwise than they do.
  const record_delimiter = ['\r\n', '\n', '\r']
  const rows = Readable.from(content).pipe(
    parse({ bom: true, columns, cast: cellValue, skip_empty_lines: true, record_delimiter }),
  )
  const iterator: AsyncIterator<Record<string, unknown>> = rows[Symbol.asyncIterator]()
  let row = 0
  return {
    async read() {
      const records: string[] = []
      let done = false
      while (records.length < BATCH_ROWS && !done) {
        const next = await iterator.next().catch(error => {
          throw error instanceof ConnectorError
            ? error
            : new ConnectorError(`${path} can't be read as CSV: ${reasonOf(error)}`, { cause: error })
        })
        done = next.done ?? false
        if (!done) records.push(rowText(next.value))
      }
      const first = row
      row += records.length
      return rowBatch(records, first, done)
    },
    async close() {
      rows.destroy()
    },
  }
}

/** Of two columns of one name one would be lost, and of one that objects don't have all of it. */
function distinct(path: string, names: string[]): string[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new ConnectorError(`${path} names the column '${twice}' twice: give each a name of its own`)
  if (names.includes('__proto__')) throw new ConnectorError(`${path} has a column '__proto__', which no object has: rename it`)
  return names
}
