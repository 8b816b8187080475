import { customSink, type Sink } from 'millrace'
import { JsonBuffer } from '../runtime/connectors/json-buffer.ts'

/** Formats each result as bytes of JSON, as the sinks of files and objects do, and drops them: what Flink's bench does with strings. */
export function discardingSink(): Sink<unknown> {
  return customSink({
    name: 'discard',
    open() {
      let count = 0
      const lines = new JsonBuffer('the discarding sink', bytes => {
        count += bytes.length
      })
      return {
        write: value => lines.write(value),
        async flush() {
          lines.flush()
          return { bytes: count }
        },
      }
    },
    // Like those that stage: a backfill holds back what others get, and sends it at the end.
    async commit() {},
  })
}
