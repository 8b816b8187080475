/** More state than the heap has room for, with a fixed share of it in memory: prints how many rows came, and how many of them are wrong. */
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { pipeline as stream } from 'node:stream/promises'
import { runBounded } from '../../../runtime/batch/run.ts'
import { customSink, monotonous, ndjson, pipeline } from '../../../runtime/index.ts'

const [directory, keys] = [process.argv[2]!, Number(process.argv[3])]

interface Row {
  readonly key: number
  readonly at: number
  readonly n: number
  readonly text: string
}

const any = { '~standard': { version: 1 as const, vendor: 'test', validate: (value: unknown) => ({ value: value as Row }) } }
const app = pipeline('many-keys')
app
  .source('rows', ndjson(any), { time: r => r.at, watermark: monotonous() })
  .keyBy('key')
  .reduce((a, b) => ({ ...b, n: a.n + b.n, text: a.text }))
  .sink('sums', customSink({ name: 'none', open: () => ({ write() {} }) }))

const input = `${directory}/rows.ndjson`
await stream(function* () {
  for (let i = 0; i < 2 * keys; i++) {
    const key = (i * 7919) % keys
    yield `${JSON.stringify({ key, at: 1_700_000_000_000 + i, n: 1, text: `${key}:`.padEnd(1500, 'x') })}\n`
  }
}, createWriteStream(input))

let rows = 0
let wrong = 0
const seen = new Uint8Array(keys)
const sums = customSink<Row>({
  name: 'sums',
  open: () => ({
    write({ key, n, text }) {
      rows++
      if (n !== ++seen[key]! || !text.startsWith(`${key}:`)) wrong++
    },
    flush: async () => ({}),
  }),
  // Staged, as far as the run can tell: it need not be held back.
  async commit() {},
})
await runBounded(app.graph(), { sources: { rows: [input] }, sinks: { sums }, parallelism: 1, stateMemory: 8 << 20 })
await rm(input)
console.log(JSON.stringify({ rows, wrong }))
