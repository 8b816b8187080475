import { jsonLine } from './json-line.ts'
import type { Sink } from './sink.ts'

/**
 * Prints each record as a line of JSON to standard output, for looking at a stream. Lines come at each flush, before the commit: at least once, so a
 * restart may print some again. `limit` is for each subtask; further records are dropped silently.
 *
 * @example
 * trending.sink('trending', print({ prefix: 'trending> ', limit: 20 }))
 */
export function print(options: { readonly prefix?: string; readonly limit?: number } = {}): Sink<any> {
  const { prefix = '', limit = Number.POSITIVE_INFINITY } = options
  return {
    kind: 'print',
    async open(context) {
      let text = ''
      let printed = 0
      return {
        write(value) {
          if (printed++ < limit) text += prefix + jsonLine(value, `the print sink ${context.operatorId}`)
        },
        async flush() {
          const out = text
          text = ''
          if (out !== '') await new Promise<void>(resolve => process.stdout.write(out, () => resolve()))
          return undefined
        },
        async close() {},
      }
    },
    describe: () => 'print',
  }
}
