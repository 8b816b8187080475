import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { StateFields } from '../state/schema.ts'
import type { OperatorNode } from './graph.ts'
import type { PhysicalPlan, PhysicalStage } from './plan.ts'
import { stateText } from './state-text.ts'

/** `shapeOf`, parsed. */
export interface Shape {
  readonly keyGroups: number
  readonly stages: readonly {
    readonly id: string
    /** Undefined for a source: its splits decide. */
    readonly parallelism?: number
    readonly operators: readonly ShapeOperator[]
    /** Frames name edges by their number over all stages, in this order. */
    readonly inputs: readonly ShapeEdge[]
  }[]
}

export interface ShapeOperator {
  readonly id: string
  readonly type: string
  /** See `stateText`. */
  readonly states: readonly string[]
  /** Of one that keeps state or timers: the key that it does so by. */
  readonly key?: string
  /** Versions of its states' values, by name: of those that are not just of version 1. */
  readonly schemas?: Readonly<Record<string, ShapeSchema>>
}

export interface ShapeSchema {
  readonly version: number
  /** Versions that its code can make one of the next of. */
  readonly migrates: readonly number[]
  readonly fields?: StateFields
}

export type ShapeEdge = readonly [
  fromStage: number,
  exchange: string,
  key: string,
  carryKey: boolean,
  fields: readonly string[] | null | undefined,
  from: string,
  output: string,
  targets: readonly (readonly [operator: string, input: number])[],
]

/** What state depends on, as a string to compare: stages, operators with their states, keys and parallelism. */
export function shapeOf(plan: PhysicalPlan): string {
  const ids = new Map(plan.stages.flatMap(s => [...s.ids]))
  return JSON.stringify({
    keyGroups: plan.options.keyGroups,
    stages: plan.stages.map(s => ({
      id: s.id,
      parallelism: s.source === undefined ? s.parallelism : undefined,
      operators: operatorsOf(s),
      inputs: s.inputs.map(e => [
        e.fromStage,
        e.exchange.kind,
        e.exchange.kind === 'key' ? e.exchange.key.label : '',
        e.carryKey,
        e.fields,
        // frames name edges by number: one that leads elsewhere now would hand what is on its way to another operator
        ids.get(e.fromNode),
        e.output,
        e.targets.map(t => [ids.get(t.node), t.input]),
      ]),
    })),
  })
}

function operatorsOf(stage: PhysicalStage): ShapeOperator[] {
  const keyed = new Set(keyedNodes(stage).map(({ node }) => node))
  return stage.nodes.map(node => ({
    id: stage.ids.get(node)!,
    type: node.type,
    states: node.states.map(stateText),
    ...(keyed.has(node) && { key: keyOf(node) }),
    ...schemasOf(node),
  }))
}

function schemasOf({ states }: OperatorNode): Pick<ShapeOperator, 'schemas'> {
  const known = states.flatMap(({ name, schema }) => {
    if (schema === undefined) return []
    const { version, migrate, fields } = schema
    return [[name, { version, migrates: Object.keys(migrate).map(Number), ...(fields && { fields }) }] as const]
  })
  return known.length === 0 ? {} : { schemas: Object.fromEntries(known) }
}

/** That records run under when they come to an operator. */
function keyOf(node: OperatorNode): string {
  const keys = node.inputs.flatMap(edges =>
    edges.flatMap(({ exchange, from }) => (exchange.kind === 'key' ? exchange.key.label : (from.key?.label ?? []))),
  )
  return [...new Set(keys)].join(' and ')
}
