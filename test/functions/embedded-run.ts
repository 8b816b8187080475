import type { SourceConnector } from '../../runtime/connectors/source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { customSink, type Pipeline } from '../../runtime/index.ts'

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

/** Records of each split, from memory. */
export function memorySource(splits: readonly (readonly string[])[]): SourceConnector {
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
