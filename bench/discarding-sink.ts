import { customSink, type Sink } from 'millrace'
import { jsonLine } from '../runtime/connectors/json-line.ts'

/** Formats each result as JSON, like the sinks that people use, and drops it: what Flink's bench does too. */
export function discardingSink(): Sink<unknown> {
  return customSink({
    name: 'discard',
    open() {
      let chars = 0
      return {
        write(value) {
          chars += jsonLine(value, 'the discarding sink').length
        },
        flush: async () => ({ chars }),
      }
    },
    // Like those that stage: a backfill holds back what others get, and sends it at the end.
    async commit() {},
  })
}
