import * as z from 'zod'
import type { SourceConnector } from '../../runtime/connectors/source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import {
  boundedOutOfOrderness,
  customSink,
  type Duration,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  tumbling,
  value,
} from '../../runtime/index.ts'

const Visit = z.object({ id: z.number(), user: z.string(), page: z.string(), at: z.number() })
export type Visit = z.infer<typeof Visit>

export const START = 1_700_000_000_000
/** Behind all windows of the data: what it sets off ends a stream that has no end. */
const END = START + 10_000_000

/** `onRecord` sees each record first, as the user's code that it stands for. */
export function visits(onRecord: (visit: Visit) => void = () => {}, idleAfter?: Duration): Pipeline {
  const app = pipeline('visits')
  const source = app.source('visits', ndjson(Visit), { time: v => v.at, watermark: boundedOutOfOrderness('5s'), idleAfter })
  source
    .deadLetters()
    .map(d => ({ reason: d.reason.replace(/ \(.*\)/, ''), raw: Buffer.from(d.raw).toString() }))
    .sink('rejected', print())
  source
    .map(v => {
      onRecord(v)
      return v
    })
    .keyBy('user')
    .process({
      state: { n: value<number>() },
      onRecord(v, ctx) {
        const n = (ctx.state.n.get() ?? 0) + 1
        ctx.state.n.set(n)
        return [{ ...v, nth: n }]
      },
    })
    .keyBy('page')
    .window(tumbling('10s'))
    .process((rows, { key, window }) => [
      {
        page: key,
        start: window.start,
        ids: rows.map(r => r.id).sort((a, b) => a - b),
        nth: rows.reduce((sum, r) => sum + r.nth, 0),
      },
    ])
    .sink('pages', print())
  return app
}

/** Records of each split, by user, so that each user's are in one split and in one order. */
export function generate(n: number, splits: number): string[][] {
  const all: string[][] = Array.from({ length: splits }, () => [])
  for (let id = 0; id < n; id++) {
    const user = (id * 7919) % 11
    const at = START + id * 100 + ((id * 31) % 13) * 100
    all[user % splits]!.push(JSON.stringify({ id, user: `u${user}`, page: `p${(id * 13) % 5}`, at }))
  }
  for (const [i, split] of all.entries()) split.push(JSON.stringify({ id: -1 - i, user: `end${i}`, page: 'end', at: END }))
  return all
}

/** The rows of an embedded run, without those of the end's own window. */
export async function expected(app: Pipeline, splits: readonly (readonly string[])[], parallelism: number) {
  const rows: Record<string, unknown[]> = { pages: [], rejected: [] }
  const sinks = Object.fromEntries(Object.keys(rows).map(name => [name, collecting(rows[name]!)]))
  await runEmbedded(app.graph(), { parallelism, sources: { visits: memorySource(splits) }, sinks })
  return { pages: sorted(rows.pages!), rejected: sorted(rows.rejected!) }
}

export function sorted(rows: readonly any[]): string[] {
  return rows
    .filter(r => r.page !== 'end')
    .map(r => JSON.stringify(r))
    .sort()
}

function collecting(rows: unknown[]) {
  return customSink<unknown>({ name: 'collecting', open: () => ({ write: row => void rows.push(row) }) })
}

function memorySource(splits: readonly (readonly string[])[]): SourceConnector {
  return {
    kind: 'memory',
    splits: async () => splits.map((_, i) => String(i)),
    open: async split => ({
      async read(position, limit) {
        const from = Number(position?.index ?? 0)
        const records = splits[Number(split)]!.slice(from, from + limit)
        const end = from + records.length
        return {
          records,
          after: i => ({ index: from + i + 1 }),
          next: { index: end },
          done: end === splits[Number(split)]!.length,
        }
      },
      async close() {},
    }),
    describe: () => 'memory',
  }
}
