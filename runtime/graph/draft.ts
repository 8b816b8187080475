import type { OperatorNode } from './graph.ts'

/** A stage while it is being filled. */
export interface Draft {
  readonly nodes: Set<OperatorNode>
  readonly source: OperatorNode | undefined
  parallelism: number
}

/** Which stages each operator is in: one, or several for a stateless one that was copied into all its upstream stages. */
export interface Placement {
  readonly drafts: Draft[]
  readonly of: Map<OperatorNode, Draft[]>
  /** Of operators that have a parallelism of their own. */
  readonly own: ReadonlyMap<OperatorNode, number>
}

export function put(node: OperatorNode, drafts: Draft[], placement: Placement): void {
  for (const d of drafts) d.nodes.add(node)
  placement.of.set(node, drafts)
}

/** A way from one stage to another through a third: merging the two would close a cycle. */
export function between(from: Draft, to: Draft, placement: Placement): boolean {
  return [...successors(from, placement)].some(d => d !== to && reaches(d, to, placement))
}

/** True if `draft` may read from all of `upstream` without a cycle: watermarks would wait for themselves. */
export function mayRead(draft: Draft, upstream: readonly Draft[], placement: Placement): boolean {
  return upstream.every(u => u === draft || !reaches(draft, u, placement))
}

function reaches(from: Draft, to: Draft, placement: Placement, seen = new Set<Draft>()): boolean {
  if (from === to) return true
  if (seen.has(from)) return false
  seen.add(from)
  return [...successors(from, placement)].some(d => reaches(d, to, placement, seen))
}

function successors(draft: Draft, placement: Placement): Set<Draft> {
  const next = new Set<Draft>()
  for (const [node, drafts] of placement.of) {
    for (const d of drafts) {
      if (d === draft || next.has(d)) continue
      if (drafts.length === 1 && node.inputs.flat().some(e => draft.nodes.has(e.from))) next.add(d)
    }
  }
  return next
}
