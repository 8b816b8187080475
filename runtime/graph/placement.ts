import { between, type Draft, mayRead, type Placement, put } from './draft.ts'
import type { Edge, LogicalGraph, OperatorNode } from './graph.ts'
import { pullDown } from './pull-down.ts'
import { sameKey } from './same-key.ts'

export interface PlacementOptions {
  readonly parallelism: number
  readonly chaining: boolean
  /** Of operators that have one of their own. */
  readonly own: ReadonlyMap<OperatorNode, number>
}

/** Puts each operator into a stage: operators chain until a real repartition (design.md, section 4). */
export function place(graph: LogicalGraph, options: PlacementOptions): Placement {
  const placement: Placement = { drafts: [], of: new Map(), own: options.own }
  for (const node of graph.nodes) placeNode(node, placement, options)
  if (options.chaining) pullDown(graph, placement)
  return placement
}

interface Link {
  readonly edge: Edge
  readonly draft: Draft
}

function placeNode(node: OperatorNode, placement: Placement, options: PlacementOptions): void {
  if (node.source !== undefined || !options.chaining) {
    open(node, options.own.get(node) ?? options.parallelism, placement)
    return
  }
  const links = node.inputs.flat().flatMap(edge => linksOf(edge, placement))
  const wanted = wantedParallelism(node, placement, options)
  const local = links.filter(l => staysLocal(l.edge, l.draft, node, wanted, placement))
  const homes = [...new Set(local.map(l => l.draft))]
  if (local.length === links.length && (homes.length === 1 || node.stateless)) {
    put(node, homes, placement)
    return
  }
  const home = homes.find(d => d.source === undefined && mayHost(d, links, local, placement)) ?? shared(links, wanted, placement)
  if (home === undefined) open(node, wanted, placement)
  else {
    put(node, [home], placement)
    mergeInto(home, homes, placement)
  }
}

function linksOf(edge: Edge, placement: Placement): Link[] {
  return placement.of.get(edge.from)!.map(draft => ({ edge, draft }))
}

/** The operator's own parallelism, or that of the stage which its first input's records are in, unless they are repartitioned anyway. */
function wantedParallelism(node: OperatorNode, placement: Placement, options: PlacementOptions): number {
  const own = options.own.get(node)
  if (own !== undefined) return own
  const inherited = (node.inputs[0] ?? [])
    .filter(staysUnderItsKey)
    .flatMap(edge => linksOf(edge, placement))
    .filter(l => l.draft.source === undefined)
    .map(l => l.draft.parallelism)
  return inherited.length === 0 ? options.parallelism : Math.max(...inherited)
}

function staysUnderItsKey({ exchange, from }: Edge): boolean {
  if (exchange.kind !== 'key') return exchange.kind === 'forward'
  return exchange.inherited || (from.key !== undefined && sameKey(from.key, exchange.key))
}

/** Whether records of `edge` are where `node` needs them if it is chained into `draft`. */
function staysLocal(edge: Edge, draft: Draft, node: OperatorNode, wanted: number, { own }: Placement): boolean {
  if (draft.source !== undefined) return edge.exchange.kind === 'forward' && !own.has(node)
  // A stateless operator goes along with its input, however many subtasks that has.
  if (draft.parallelism !== wanted && (own.has(node) || !node.stateless)) return false
  if (staysUnderItsKey(edge)) return true
  return draft.parallelism === 1 && wanted === 1
}

/** An existing stage that reads the same records by the same key. */
function shared(links: readonly Link[], parallelism: number, placement: Placement): Draft | undefined {
  const first = links[0]?.edge.exchange
  if (first?.kind !== 'key') return undefined
  if (!links.every(l => l.edge.exchange.kind === 'key' && sameKey(l.edge.exchange.key, first.key))) return undefined
  const sharesInput = (d: Draft) =>
    [...d.nodes].some(n =>
      n.inputs.flat().some(e => {
        if (e.exchange.kind !== 'key' || !sameKey(e.exchange.key, first.key)) return false
        return placement.of.get(e.from)!.some(u => u !== d && links.some(l => l.draft === u))
      }),
    )
  return placement.drafts.find(
    d => d.source === undefined && d.parallelism === parallelism && mayHost(d, links, [], placement) && sharesInput(d),
  )
}

/**
 * Whether an operator with these inputs may go into `draft`: what comes from the draft itself must be `local` there (a repartition
 * can't lead back into the stage that it leaves), and the rest must not close a cycle.
 */
function mayHost(draft: Draft, links: readonly Link[], local: readonly Link[], placement: Placement): boolean {
  if (!links.every(l => l.draft !== draft || local.includes(l))) return false
  const upstream = links.map(l => l.draft)
  return mayRead(draft, upstream, placement)
}

function open(node: OperatorNode, parallelism: number, placement: Placement): void {
  const draft: Draft = { nodes: new Set([node]), source: node.source === undefined ? undefined : node, parallelism }
  placement.drafts.push(draft)
  placement.of.set(node, [draft])
}

/** Two stages whose operators meet under one key become one, unless one feeds the other. */
function mergeInto(home: Draft, others: readonly Draft[], placement: Placement): void {
  for (const other of others) {
    if (other === home || other.source !== undefined || other.parallelism !== home.parallelism) continue
    if (between(home, other, placement) || between(other, home, placement)) continue
    if (repartitions(home, other, placement) || repartitions(other, home, placement)) continue
    for (const node of other.nodes) {
      home.nodes.add(node)
      placement.of.set(node, [...new Set(placement.of.get(node)!.map(d => (d === other ? home : d)))])
    }
    placement.drafts.splice(placement.drafts.indexOf(other), 1)
  }
}

/** Records go from one to the other by another key than they run under, so that the two can't be one stage. */
function repartitions(from: Draft, to: Draft, placement: Placement): boolean {
  return [...to.nodes].some(node =>
    node.inputs.flat().some(e => from.nodes.has(e.from) && !staysLocal(e, from, node, to.parallelism, placement)),
  )
}
