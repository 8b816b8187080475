import { Readable } from 'node:stream'
import { parse } from 'csv-parse'
import { ConnectorError, reasonOf } from '../connectors/error.ts'
import type { SplitReader } from '../connectors/source.ts'
import { cellValue, rowBatch, rowText } from './row-text.ts'

/** Rows that become one batch. */
const BATCH_ROWS = 5000

/** Reads CSV (RFC 4180, quotes and newlines in them included) whose first row names the columns, each row as the JSON text of an object by column. */
export function openCsv(path: string, content: AsyncIterable<Uint8Array>): SplitReader {
  const rows = Readable.from(content).pipe(parse({ bom: true, columns: true, cast: cellValue, skip_empty_lines: true }))
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
