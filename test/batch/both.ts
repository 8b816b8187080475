import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runBounded } from '../../runtime/batch/run.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { LogicalGraph } from '../../runtime/graph/graph.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { sortedLines } from '../engine/events.ts'
import { withPerfectWatermarks } from './perfect.ts'

/** The sorted lines of each sink. */
export type Results = Readonly<Record<string, readonly string[]>>

function sinksIn(graph: LogicalGraph, out: string) {
  const names = graph.nodes.flatMap(n => (n.sink === undefined ? [] : [n.sink.name]))
  return {
    sinks: Object.fromEntries(names.map(name => [name, fileSink(join(out, name))])),
    read: (): Results => Object.fromEntries(names.map(name => [name, sortedLines(join(out, name))])),
  }
}

/** A streaming run over lines that are in order, with perfect watermarks or the pipeline's own; other sources read the files that are named. */
export async function streaming(
  graph: LogicalGraph,
  source: string,
  lines: readonly string[],
  out: string,
  { perfect = true, others = {} }: { perfect?: boolean; others?: Readonly<Record<string, string>> } = {},
): Promise<Results> {
  const { sinks, read } = sinksIn(graph, out)
  const sources = Object.fromEntries(Object.entries(others).map(([name, path]) => [name, fileSource([path])]))
  const given = perfect ? withPerfectWatermarks(graph, source, lines) : graph
  const ordered = write(`${out}.ordered`, lines)
  await runEmbedded(given, { sources: { ...sources, [source]: fileSource([ordered]) }, sinks, checkpointMs: 600_000 })
  return read()
}

/** A bounded run over files. */
export async function bounded(
  graph: LogicalGraph,
  sources: Readonly<Record<string, readonly string[]>>,
  out: string,
  options: { parallelism?: number; pieceBytes?: number; stateMemory?: number } = {},
): Promise<Results> {
  const { sinks, read } = sinksIn(graph, out)
  const summary = await runBounded(graph, { sources, sinks, parallelism: 1, ...options })
  if (summary.late > 0) throw new Error(`${summary.late} records were late, in order of event time`)
  return read()
}

export function write(path: string, lines: readonly string[]): string {
  writeFileSync(path, lines.map(line => `${line}\n`).join(''))
  return path
}
