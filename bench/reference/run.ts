/** One query on one file of events, as the command and the tests run it. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileSink, fileSource } from 'millrace'
import type { Pipeline } from '../../runtime/api/pipeline.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunSummary } from '../../runtime/embedded/run-options.ts'
import { foldChanges } from './fold.ts'

export interface Query {
  /** `q5`, or `e1`. */
  readonly query: string
  /** NDJSON, gzipped or not. */
  readonly events: string
  /** How far out of order the events may be. */
  readonly boundMs: number
  /** Where the results go, as NDJSON in any order. */
  readonly out: string
  /** The second input of q13. */
  readonly side?: string
  readonly parallelism?: number
  /** Between the starts of two checkpoints. Default 10 s. */
  readonly checkpointMs?: number
}

/** Of a query whose results change as records come, `out` gets the final ones, and `rows` is how many they are. */
export async function runQuery({
  query,
  events,
  boundMs,
  out,
  side,
  parallelism,
  checkpointMs,
}: Query): Promise<RunSummary & { rows: number }> {
  const graph = (await loadQuery(query, boundMs)).graph()
  const sources = { events: fileSource([events]), ...(side !== undefined && { side: fileSource([side]) }) }
  const changelog = graph.nodes.some(node => node.sink?.changelog)
  const written = changelog ? `${out}.changes` : out
  rmSync(written, { force: true }) // a file that is there is no part of these results
  const summary = await runEmbedded(graph, { sources, sinks: { results: fileSink(written) }, parallelism, checkpointMs })
  return { ...summary, rows: changelog ? await foldChanges(written, out) : summary.results }
}

/** The file of a query. Undefined: there is none. */
export function fileOf(query: string): string | undefined {
  return queries().includes(query) ? join(import.meta.dirname, `${query}.ts`) : undefined
}

/** q0, q1, …, e6. */
export function queries(): string[] {
  const names = readdirSync(import.meta.dirname).flatMap(file => /^([qe]\d+)\.ts$/.exec(file)?.slice(1) ?? [])
  return names.sort((a, b) => b.charCodeAt(0) - a.charCodeAt(0) || Number(a.slice(1)) - Number(b.slice(1)))
}

/** The pipeline of a query that has a file. (The bound is a parameter of the file, so each bound is an import of its own.) */
export async function loadQuery(query: string, boundMs: number): Promise<Pipeline> {
  process.env.BOUND_MS = String(boundMs)
  const module = await import(`${fileOf(query)}?bound=${boundMs}`)
  return module.default
}
