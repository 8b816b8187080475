import type { Edge, Exchange, LogicalGraph, OperatorNode } from './graph.ts'

/** Where records of an edge go in their new stage. */
export interface EdgeTarget {
  readonly node: OperatorNode
  readonly input: number
}

/**
 * An edge between two stages: records of it are packed into frames on the consumer's stream. They travel once, however many operators over
 * there read them alike.
 */
export interface StageEdge {
  /** Unique in the plan, from 0: frames name edges by it. */
  readonly id: number
  readonly fromStage: number
  readonly fromNode: OperatorNode
  /** `out`, or a side output's tag. */
  readonly output: string
  readonly toStage: number
  /** In the order in which each record is handed to them. */
  readonly targets: readonly EdgeTarget[]
  readonly exchange: Exchange
  /** Only these fields travel (what any of the targets needs), undefined: all. */
  readonly fields: readonly string[] | undefined
  /** The key travels with each record; false: the consumer computes it from the fields (or there is none). */
  readonly carryKey: boolean
}

/** Operators chained into one function. */
export interface PhysicalStage {
  /** Place in the plan, from 0; stages are in topological order. */
  readonly index: number
  /** Stable name: in streams, logs and functions. */
  readonly id: string
  /** In topological order; a stateless operator may be in several stages. The first one of a source stage is the source. */
  readonly nodes: readonly OperatorNode[]
  /** Operator ids. */
  readonly ids: ReadonlyMap<OperatorNode, string>
  /** Of source stages, the splits decide at run time. */
  readonly parallelism: number
  readonly source: OperatorNode | undefined
  readonly inputs: readonly StageEdge[]
  readonly outputs: readonly StageEdge[]
  /** keyBys inside the stage whose records have to have the key already: the runtime checks each. */
  readonly verified: ReadonlySet<Edge>
}

/** What the runtime builds from. */
export interface PhysicalPlan {
  readonly graph: LogicalGraph
  readonly stages: readonly PhysicalStage[]
  readonly options: { readonly keyGroups: number; readonly watermarkStep: number }
}
