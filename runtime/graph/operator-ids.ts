import { MillraceError } from '../errors.ts'
import type { Edge, LogicalGraph, OperatorNode } from './graph.ts'

/**
 * A stable id for each operator: its uid, or one derived from its shape (what it is and where its input comes from), so that a change
 * elsewhere in the pipeline does not change it. Throws MillraceError when two operators have one uid.
 */
export function operatorIds(graph: LogicalGraph): Map<OperatorNode, string> {
  const ids = new Map<OperatorNode, string>()
  const taken = new Set<string>()
  for (const node of graph.nodes) {
    if (node.uid === undefined) continue
    if (taken.has(node.uid))
      throw new MillraceError(`two operators have the uid '${node.uid}': give each its own, state is found by it`)
    taken.add(node.uid)
  }
  for (const node of graph.nodes) {
    const id = node.uid ?? unique(derived(node, ids), taken)
    taken.add(id)
    ids.set(node, id)
  }
  return ids
}

function derived(node: OperatorNode, ids: ReadonlyMap<OperatorNode, string>): string {
  if (node.source !== undefined) return `source-${slug(node.source.name)}`
  if (node.sink !== undefined) return `sink-${slug(node.sink.name)}`
  const shape = JSON.stringify([node.type, node.inputs.map(edges => edges.map(e => describe(e, ids)))])
  return `${slug(node.type)}-${shortHash(shape)}`
}

function describe(edge: Edge, ids: ReadonlyMap<OperatorNode, string>): unknown {
  const { exchange } = edge
  return [ids.get(edge.from), edge.output, exchange.kind, exchange.kind === 'key' ? (exchange.key.fields ?? 'function') : '']
}

function unique(id: string, taken: ReadonlySet<string>): string {
  if (!taken.has(id)) return id
  for (let n = 2; ; n++) if (!taken.has(`${id}-${n}`)) return `${id}-${n}`
}

function slug(text: string): string {
  return (
    text
      .replace(/[^A-Za-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .toLowerCase() || 'x'
  )
}

/** FNV-1a, six characters: enough to tell the operators of one pipeline apart, where equal ones get an ordinal, or what one thing was from what it is. */
export function shortHash(text: string): string {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return (h >>> 0).toString(36).padStart(7, '0').slice(-6)
}
