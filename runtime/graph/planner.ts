import { MillraceError } from '../errors.ts'
import type { Draft, Placement } from './draft.ts'
import { keyTravels, neededFields } from './fields.ts'
import type { Edge, Exchange, LogicalGraph, OperatorNode } from './graph.ts'
import { operatorIds } from './operator-ids.ts'
import { ownParallelism } from './own-parallelism.ts'
import { place } from './placement.ts'
import type { EdgeTarget, PhysicalPlan, PhysicalStage, StageEdge } from './plan.ts'
import { sameKey } from './same-key.ts'

export interface PlanOptions {
  /** Default parallelism, before the pipeline's own. */
  readonly parallelism?: number
  /** Of single operators, by id: before the pipeline's own. */
  readonly parallelismOf?: Readonly<Record<string, number>>
  /** False: each operator in a stage of its own. */
  readonly chaining?: boolean
  /**
   * True: stages are cut as if the default parallelism was none that an operator has by itself, nor 1, where a keyBy needs no cut: so they are the same whatever it is (plan-for.ts).
   */
  readonly apart?: boolean
}

const KEY_GROUPS = 128

/**
 * Stages and the edges between them, linked to the operators: what the runtime builds from. Throws MillraceError for uids that are not unique,
 * operators that are not there, and a parallelism above the number of key groups.
 */
export function planPhysical(graph: LogicalGraph, options: PlanOptions = {}): PhysicalPlan {
  const parallelism = options.parallelism ?? graph.options.parallelism ?? 1
  const keyGroups = graph.options.keyGroups ?? KEY_GROUPS
  const ids = operatorIds(graph)
  const own = ownParallelism(ids, options.parallelismOf ?? {})
  const anyNumber = options.apart ? Number.POSITIVE_INFINITY : parallelism
  const placement = place(graph, { parallelism: anyNumber, chaining: options.chaining ?? true, own })
  const drafts = topological(placement)
  for (const draft of drafts) if (draft.parallelism === anyNumber) draft.parallelism = parallelism
  checkParallelism(drafts, ids, own, keyGroups)
  const edges = stageEdges(drafts, placement, neededFields(graph))
  const stages = drafts.map((draft, index): PhysicalStage => {
    const nodes = [...draft.nodes].sort((a, b) => a.index - b.index)
    return {
      index,
      id: ids.get(nodes[0]!)!,
      nodes,
      ids: new Map(nodes.map(n => [n, ids.get(n)!])),
      parallelism: draft.parallelism,
      source: draft.source,
      inputs: edges.filter(e => e.toStage === index),
      outputs: edges.filter(e => e.fromStage === index),
      verified: new Set(nodes.flatMap(n => n.inputs.flat().filter(e => draft.nodes.has(e.from) && isVerified(e)))),
    }
  })
  return {
    graph,
    stages,
    options: { keyGroups, watermarkStep: graph.options.watermarkStep ?? 0 },
  }
}

/** A subtask owns at least one key group: more subtasks than that would get no records. Sources have as many as splits. */
function checkParallelism(
  drafts: readonly Draft[],
  ids: ReadonlyMap<OperatorNode, string>,
  own: ReadonlyMap<OperatorNode, number>,
  keyGroups: number,
): void {
  const wide = drafts.find(d => d.source === undefined && d.parallelism > keyGroups)
  if (wide === undefined) return
  const chosen = [...wide.nodes].find(n => own.get(n) === wide.parallelism)
  const [node] = wide.nodes
  const set =
    chosen === undefined ? `operator ${ids.get(node!)}, by default` : `operator ${ids.get(chosen)}, by its .parallelism()`
  throw new MillraceError(
    `${set}, has a parallelism of ${wide.parallelism}, but there are only ${keyGroups} key groups: choose a parallelism of at most ${keyGroups}, or more keyGroups in pipeline()`,
  )
}

/** A keyBy that costs nothing because the records already run under that key: the runtime checks that they do. */
export function isVerified(edge: Edge): boolean {
  return (
    edge.exchange.kind === 'key' &&
    !edge.exchange.inherited &&
    edge.from.key !== undefined &&
    sameKey(edge.from.key, edge.exchange.key)
  )
}

function topological(placement: Placement): Draft[] {
  const order: Draft[] = []
  const visit = (draft: Draft) => {
    if (order.includes(draft)) return
    for (const node of draft.nodes) {
      if (placement.of.get(node)!.length > 1) continue
      for (const edge of node.inputs.flat()) for (const up of placement.of.get(edge.from)!) if (up !== draft) visit(up)
    }
    order.push(draft)
  }
  for (const d of placement.drafts) visit(d)
  return order
}

/** A stage edge while it is being made. */
interface EdgeDraft extends Omit<StageEdge, 'id' | 'targets' | 'fields'> {
  readonly targets: EdgeTarget[]
  readonly fields: (readonly string[] | undefined)[]
}

function stageEdges(
  drafts: readonly Draft[],
  placement: Placement,
  fields: (edge: Edge, reader: OperatorNode) => readonly string[] | undefined,
): StageEdge[] {
  const edges: EdgeDraft[] = []
  drafts.forEach((draft, toStage) => {
    for (const node of draft.nodes) {
      if (placement.of.get(node)!.length > 1) continue
      node.inputs.forEach((list, input) => {
        for (const edge of list) {
          const crossed = { ...edge, exchange: crossing(edge) }
          for (const from of placement.of.get(edge.from)!) {
            if (from === draft) continue
            const made = edgeDraft(crossed, drafts.indexOf(from), toStage)
            const one = edges.find(e => carriesTheSame(e, made)) ?? made
            if (one === made) edges.push(made)
            one.targets.push({ node, input })
            one.fields.push(fields(crossed, node))
          }
        }
      })
    }
  })
  return edges.map((edge, id) => ({ ...edge, id, fields: together(edge.fields) }))
}

function edgeDraft(edge: Edge, fromStage: number, toStage: number): EdgeDraft {
  const { from, output, exchange } = edge
  return { fromStage, fromNode: from, output, toStage, exchange, carryKey: keyTravels(edge), targets: [], fields: [] }
}

/** The same records, to the same subtasks: one edge does for both. */
function carriesTheSame(a: EdgeDraft, b: EdgeDraft): boolean {
  if (a.fromStage !== b.fromStage || a.toStage !== b.toStage || a.fromNode !== b.fromNode || a.output !== b.output) return false
  if (a.exchange.kind !== 'key' || b.exchange.kind !== 'key') return a.exchange.kind === b.exchange.kind
  // a key that is carried may be another one than the same keyBy would compute here
  return a.exchange.inherited === b.exchange.inherited && sameKey(a.exchange.key, b.exchange.key)
}

/** What any of the readers needs. */
function together(fields: readonly (readonly string[] | undefined)[]): readonly string[] | undefined {
  return fields.includes(undefined) ? undefined : [...new Set(fields.flatMap(list => list!))].sort()
}

/** Records that run under a key stay with it when they cross to another stage. */
function crossing(edge: Edge): Exchange {
  const { key } = edge.from
  return edge.exchange.kind === 'forward' && key !== undefined ? { kind: 'key', key, inherited: true } : edge.exchange
}
