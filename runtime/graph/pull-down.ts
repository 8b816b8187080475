import { mayRead, type Placement, put } from './draft.ts'
import type { LogicalGraph } from './graph.ts'
import { sameKey } from './same-key.ts'

/**
 * Where a stage had to be cut in two to avoid a cycle, stateless operators that only the later part reads move there: what a map or a
 * model call adds to a record need not cross the cut. Operators with state stay, above all windows: there each key's records come from fewer
 * producers, and what is late is judged by a watermark that fewer of them hold back.
 */
export function pullDown(graph: LogicalGraph, placement: Placement): void {
  for (const node of [...graph.nodes].reverse()) {
    const homes = placement.of.get(node)!
    const [home] = homes
    if (!node.stateless || homes.length !== 1 || home!.source !== undefined) continue
    const readers = graph.nodes.flatMap(n => n.inputs.flat().flatMap(edge => (edge.from === node ? [{ n, edge }] : [])))
    const targets = new Set(readers.flatMap(r => placement.of.get(r.n)!))
    const [target] = targets
    if (targets.size !== 1 || target === home || target!.source !== undefined || target!.parallelism !== home!.parallelism)
      continue
    const underOneKey = readers.every(
      ({ edge }) => edge.exchange.kind === 'key' && node.key !== undefined && sameKey(edge.exchange.key, node.key),
    )
    // A keyed operator that moves to a stage of its own key; its own input then crosses the cut under that key.
    const movable = node.inputs.flat().every(e => e.exchange.kind === 'key' || e.from.key !== undefined) && home!.nodes.size > 1
    if (
      !underOneKey ||
      !movable ||
      !mayRead(
        target!,
        node.inputs.flat().flatMap(e => placement.of.get(e.from)!),
        placement,
      )
    )
      continue
    home!.nodes.delete(node)
    put(node, [target!], placement)
  }
}
