import type { Edge, LogicalGraph, OperatorNode } from './graph.ts'
import { sameKey } from './same-key.ts'

/** A stage while it is being filled. */
export interface Draft {
  readonly nodes: Set<OperatorNode>
  readonly source: OperatorNode | undefined
  parallelism: number
}

export interface PlacementOptions {
  readonly parallelism: number
  readonly chaining: boolean
}

/** Which stages each operator is in: one, or several for a stateless one that was copied into all its upstream stages. */
export interface Placement {
  readonly drafts: Draft[]
  readonly of: Map<OperatorNode, Draft[]>
}

/** Puts each operator into a stage: operators chain until a real repartition (design.md, section 4). */
export function place(graph: LogicalGraph, options: PlacementOptions): Placement {
  const placement: Placement = { drafts: [], of: new Map() }
  for (const node of graph.nodes) placeNode(node, placement, options)
  if (options.chaining) pullDown(graph, placement)
  return placement
}

function placeNode(node: OperatorNode, placement: Placement, options: PlacementOptions): void {
  if (node.source !== undefined || !options.chaining) {
    open(node, placement, options)
    return
  }
  const links = node.inputs.flat().flatMap(edge => placement.of.get(edge.from)!.map(draft => ({ edge, draft })))
  const local = links.filter(l => staysLocal(l.edge, l.draft, node))
  const homes = [...new Set(local.map(l => l.draft))]
  if (local.length === links.length && (homes.length === 1 || node.stateless)) {
    put(node, homes, placement)
    return
  }
  const home =
    homes.find(d => d.source === undefined && mayHost(d, links, local, placement)) ?? shared(node, links, placement, options)
  if (home === undefined) open(node, placement, options)
  else {
    put(node, [home], placement)
    mergeInto(home, homes, placement)
  }
}

/** Whether records of `edge` are where `node` needs them if it is chained into `draft`. */
function staysLocal(edge: Edge, draft: Draft, node: OperatorNode): boolean {
  if (node.parallelism !== undefined && node.parallelism !== draft.parallelism) return false
  if (draft.source !== undefined && node.parallelism !== undefined) return false
  const { exchange, from } = edge
  const alone = draft.parallelism === 1 && draft.source === undefined
  if (exchange.kind === 'forward') return true
  if (exchange.kind === 'broadcast') return alone
  if (exchange.inherited || (from.key !== undefined && sameKey(from.key, exchange.key))) return true
  return alone && node.parallelism === 1
}

/** An existing stage that reads the same records by the same key. */
function shared(node: OperatorNode, links: readonly Link[], placement: Placement, options: PlacementOptions): Draft | undefined {
  const parallelism = node.parallelism ?? options.parallelism
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

interface Link {
  readonly edge: Edge
  readonly draft: Draft
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

function open(node: OperatorNode, placement: Placement, options: PlacementOptions): void {
  const draft: Draft = {
    nodes: new Set([node]),
    source: node.source === undefined ? undefined : node,
    parallelism: node.parallelism ?? options.parallelism,
  }
  placement.drafts.push(draft)
  placement.of.set(node, [draft])
}

function put(node: OperatorNode, drafts: Draft[], placement: Placement): void {
  for (const d of drafts) d.nodes.add(node)
  placement.of.set(node, drafts)
}

/** Two stages whose operators meet under one key become one, unless one feeds the other. */
function mergeInto(home: Draft, others: readonly Draft[], placement: Placement): void {
  for (const other of others) {
    if (other === home || other.source !== undefined || other.parallelism !== home.parallelism) continue
    if (between(home, other, placement) || between(other, home, placement)) continue
    if (repartitions(home, other) || repartitions(other, home)) continue
    for (const node of other.nodes) {
      home.nodes.add(node)
      placement.of.set(node, [...new Set(placement.of.get(node)!.map(d => (d === other ? home : d)))])
    }
    placement.drafts.splice(placement.drafts.indexOf(other), 1)
  }
}

/** Records go from one to the other by another key than they run under, so that the two can't be one stage. */
function repartitions(from: Draft, to: Draft): boolean {
  return [...to.nodes].some(node => node.inputs.flat().some(e => from.nodes.has(e.from) && !staysLocal(e, from, node)))
}

/** A way from one stage to another through a third: merging the two would close a cycle. */
function between(from: Draft, to: Draft, placement: Placement): boolean {
  return [...successors(from, placement)].some(d => d !== to && reaches(d, to, placement))
}

/** True if `draft` may read from all of `upstream` without a cycle: watermarks would wait for themselves. */
function mayRead(draft: Draft, upstream: readonly Draft[], placement: Placement): boolean {
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

/**
 * Where a stage had to be cut in two to avoid a cycle, operators that only the later part reads move there, so that as little as
 * possible crosses the cut.
 */
function pullDown(graph: LogicalGraph, placement: Placement): void {
  for (const node of [...graph.nodes].reverse()) {
    const homes = placement.of.get(node)!
    const [home] = homes
    if (homes.length !== 1 || home!.source !== undefined) continue
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
