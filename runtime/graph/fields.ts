import type { Edge, LogicalGraph, OperatorNode } from './graph.ts'

/** Fields that a consumer needs: a set, or all of them. */
type Needed = ReadonlySet<string> | 'all'

/**
 * What of an edge's values is used behind it, where that can be told: declarative operators say what they read, functions can read anything.
 * Gives the fields that have to travel on an edge to one of its readers, undefined for all. (Readers share edges: a stream that two
 * operators read is one edge.)
 */
export function neededFields(graph: LogicalGraph): (edge: Edge, reader: OperatorNode) => readonly string[] | undefined {
  const readers = new Map<OperatorNode, { node: OperatorNode; edge: Edge }[]>(graph.nodes.map(n => [n, []]))
  for (const node of graph.nodes) for (const edge of node.inputs.flat()) readers.get(edge.from)!.push({ node, edge })
  const memo = new Map<OperatorNode, Needed>()
  const need = (node: OperatorNode): Needed => {
    const known = memo.get(node)
    if (known !== undefined) return known
    const { reads } = node
    const result =
      reads === undefined
        ? 'all'
        : reads.passes
          ? union([new Set(reads.fields), ...readers.get(node)!.map(r => along(r))])
          : new Set(reads.fields)
    memo.set(node, result)
    return result
  }
  const along = ({ node, edge }: { node: OperatorNode; edge: Edge }): Needed => {
    const { exchange } = edge
    if (exchange.kind !== 'key' || exchange.inherited) return need(node)
    return exchange.key.fields === undefined ? 'all' : union([new Set(exchange.key.fields), need(node)])
  }
  return (edge, node) => {
    const fields = keyTravels(edge) ? need(node) : along({ node, edge })
    return fields === 'all' ? undefined : [...fields].sort()
  }
}

/** A key that is made of fields does not travel with the records: the consumer computes it. */
export function keyTravels(edge: Edge): boolean {
  const { exchange } = edge
  return exchange.kind === 'key' && (exchange.inherited || exchange.key.fields === undefined)
}

function union(sets: readonly Needed[]): Needed {
  const all = new Set<string>()
  for (const s of sets) {
    if (s === 'all') return 'all'
    for (const f of s) all.add(f)
  }
  return all
}
