import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { LogicalGraph } from '../../runtime/graph/graph.ts'
import { decode } from '../../runtime/stage/decode.ts'

/** The lines of a file, plain or gzipped, as its records. */
export function linesOf(path: string): string[] {
  const bytes = readFileSync(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
  return text.split('\n').filter(Boolean)
}

/** Lines in order of event time, as the source `name` reads it; those of one time as they were. */
export function inOrder(graph: LogicalGraph, name: string, lines: readonly string[]): string[] {
  return lines
    .map(line => ({ line, time: timeOf(graph, name, line) }))
    .sort((a, b) => a.time - b.time)
    .map(({ line }) => line)
}

/**
 * The same pipeline with perfect watermarks at the source `name`, which reads `lines`, in order of event time: behind each record it is known when the next one is. Where there is no next one the watermark
 * stays, until the end of the input.
 */
export function withPerfectWatermarks(graph: LogicalGraph, name: string, lines: readonly string[]): LogicalGraph {
  const times = lines.map(line => timeOf(graph, name, line))
  const node = graph.nodes.find(n => n.source?.name === name)!
  const create = () => {
    let i = 0
    return { onRecord: () => (times[++i] ?? Number.NaN) - 1 || Number.NEGATIVE_INFINITY }
  }
  // In place: edges refer to the node itself.
  Object.assign(node, { source: { ...node.source!, watermark: { kind: 'perfect', create } } })
  return graph
}

function timeOf(graph: LogicalGraph, name: string, line: string): number {
  const decoded = decode(line, graph.nodes.find(n => n.source?.name === name)!.source!)
  if (!decoded.ok) throw new Error(decoded.reason)
  return decoded.timestamp
}
