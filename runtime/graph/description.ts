import type { StandardJSONSchemaV1 } from '@standard-schema/spec'
import type { Edge, Exchange, OperatorNode } from './graph.ts'
import type { PhysicalPlan, PhysicalStage, StageEdge } from './plan.ts'

/** A plan as data: what the CLI prints, a deployment is made from, and two versions of a pipeline are compared by. Plain JSON. */
export interface Plan {
  readonly format: 1
  readonly pipeline: string
  readonly keyGroups: number
  readonly watermarkStepMs: number
  /** Internal streams: one for each stage but the sources. */
  readonly shuffles: number
  readonly stages: readonly PlanStage[]
  readonly edges: readonly PlanEdge[]
  /** keyBys that cost no shuffle. */
  readonly elided: readonly { readonly operator: string; readonly key: string; readonly reason: string }[]
  readonly sources: readonly PlanSource[]
  readonly sinks: readonly { readonly name: string; readonly operator: string; readonly sink: string }[]
}

export interface PlanStage {
  readonly id: string
  readonly kind: 'source' | 'internal'
  /** Of sources: as many subtasks as there are splits. */
  readonly parallelism: number | 'splits'
  readonly operators: readonly PlanOperator[]
}

export interface PlanOperator {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly detail?: string
  /** The key that its results run under. */
  readonly key?: string
  readonly states: readonly { readonly name: string; readonly primitive: 'value' | 'map'; readonly ttlMs?: number }[]
  /** By input: ids of the operators that it reads, with `:tag` for a side output. */
  readonly inputs: readonly (readonly string[])[]
}

export interface PlanEdge {
  readonly id: number
  readonly from: { readonly stage: string; readonly operator: string; readonly output: string }
  readonly to: { readonly stage: string; readonly operators: readonly { readonly id: string; readonly input: number }[] }
  readonly exchange: Exchange['kind']
  readonly key?: string
  /** The fields that travel; absent: all. */
  readonly fields?: readonly string[]
  readonly carryKey: boolean
  readonly reason: string
}

export interface PlanSource {
  readonly name: string
  readonly operator: string
  /** Absent: bound when it is run. */
  readonly connector?: string
  readonly watermark: string
  readonly idleAfterMs?: number
  /** As far as the validator can tell: its vendor, and its output as JSON Schema. */
  readonly schema: { readonly vendor: string; readonly json?: object }
}

/** The plan as data. */
export function describePlan(plan: PhysicalPlan): Plan {
  const ids = new Map(plan.stages.flatMap(stage => [...stage.ids]))
  const nodes = plan.graph.nodes
  return {
    format: 1,
    pipeline: plan.graph.name,
    keyGroups: plan.options.keyGroups,
    watermarkStepMs: plan.options.watermarkStep,
    shuffles: plan.stages.filter(stage => stage.source === undefined).length,
    stages: plan.stages.map(stage => describeStage(stage, ids)),
    edges: plan.stages.flatMap(stage => stage.inputs.map(edge => describeEdge(edge, plan, ids))),
    elided: plan.stages.flatMap(stage => elided(stage, ids)),
    sources: nodes.filter(n => n.source !== undefined).map(n => describeSource(n, ids.get(n)!)),
    sinks: nodes
      .filter(n => n.sink !== undefined)
      .map(n => ({ name: n.sink!.name, operator: ids.get(n)!, sink: n.sink!.sink.describe() })),
  }
}

type Ids = ReadonlyMap<OperatorNode, string>

function describeStage(stage: PhysicalStage, ids: Ids): PlanStage {
  const source = stage.source !== undefined
  return {
    id: stage.id,
    kind: source ? 'source' : 'internal',
    parallelism: source ? 'splits' : stage.parallelism,
    operators: stage.nodes.map(node => ({
      id: ids.get(node)!,
      name: node.name,
      type: node.type,
      ...(node.detail === undefined ? {} : { detail: node.detail }),
      ...(node.key === undefined ? {} : { key: node.key.label }),
      states: node.states.map(({ name, primitive, ttl }) => ({
        name,
        primitive,
        ...(ttl === undefined ? {} : { ttlMs: ttl.ms }),
      })),
      inputs: node.inputs.map(edges =>
        edges.map(e => (e.output === 'out' ? ids.get(e.from)! : `${ids.get(e.from)}:${e.output}`)),
      ),
    })),
  }
}

function describeEdge(edge: StageEdge, plan: PhysicalPlan, ids: Ids): PlanEdge {
  const { exchange } = edge
  return {
    id: edge.id,
    from: { stage: plan.stages[edge.fromStage]!.id, operator: ids.get(edge.fromNode)!, output: edge.output },
    to: {
      stage: plan.stages[edge.toStage]!.id,
      operators: edge.targets.map(({ node, input }) => ({ id: ids.get(node)!, input })),
    },
    exchange: exchange.kind,
    ...(exchange.kind === 'key' ? { key: exchange.key.label } : {}),
    ...(edge.fields === undefined ? {} : { fields: edge.fields }),
    carryKey: edge.carryKey,
    reason: reasonOf(edge, plan),
  }
}

/** Why records have to leave their stage here. */
function reasonOf({ exchange, ...edge }: StageEdge, plan: PhysicalPlan): string {
  const from = plan.stages[edge.fromStage]!
  const to = plan.stages[edge.toStage]!
  const moved = from.source !== undefined || from.parallelism !== to.parallelism
  const subtasks = `the number of subtasks changes from ${from.source === undefined ? from.parallelism : 'one per split'} to ${to.parallelism}`
  if (exchange.kind === 'broadcast') return 'broadcast: every subtask needs every record'
  if (exchange.kind === 'forward') return `passed on: ${moved ? subtasks : 'several streams come together here'}`
  const { label } = exchange.key
  if (!exchange.inherited) {
    const key = edge.fromNode.key
    return `shuffled by ${label}: the records were ${key === undefined ? 'not grouped by any key' : `grouped by ${key.label}`} before`
  }
  return moved
    ? `shuffled by ${label} as before: ${subtasks}`
    : `passed on by ${label} as before: another stream joins here, and in the same stage it would have to wait for itself`
}

function elided(stage: PhysicalStage, ids: Ids): Plan['elided'] {
  const inside = new Set<OperatorNode>(stage.nodes)
  const result: Plan['elided'][number][] = []
  for (const node of stage.nodes) {
    for (const edge of node.inputs.flat()) {
      if (!inside.has(edge.from) || edge.exchange.kind !== 'key' || edge.exchange.inherited) continue
      const none = { operator: ids.get(node)!, key: edge.exchange.key.label, reason: whyNone(edge, stage) }
      // A keyBy of a union is one edge per united stream, and one line here.
      if (!result.some(r => r.operator === none.operator && r.key === none.key && r.reason === none.reason)) result.push(none)
    }
  }
  return result
}

function whyNone(edge: Edge, stage: PhysicalStage): string {
  return stage.verified.has(edge)
    ? 'the records are already grouped by this key'
    : 'there is only one subtask, before and after it'
}

function describeSource(node: OperatorNode, operator: string): PlanSource {
  const { name, connector, schema, watermark } = node.source!
  const json = jsonSchema(schema)
  return {
    name,
    operator,
    ...(connector === undefined ? {} : { connector: connector.describe() }),
    watermark: watermark.kind,
    ...(watermark.idleAfter === undefined ? {} : { idleAfterMs: watermark.idleAfter }),
    schema: { vendor: schema['~standard'].vendor, ...(json === undefined ? {} : { json }) },
  }
}

/** Validators may leave out JSON Schema, and may refuse for types that it can't express. */
function jsonSchema(schema: unknown): object | undefined {
  try {
    return (schema as Partial<StandardJSONSchemaV1>)['~standard']?.jsonSchema?.output({ target: 'draft-2020-12' })
  } catch {
    return undefined
  }
}
