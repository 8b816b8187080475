import type { PhysicalPlan } from './plan.ts'
import { stateText } from './state-text.ts'

/** `shapeOf`, parsed. */
export interface Shape {
  readonly keyGroups: number
  readonly stages: readonly {
    readonly id: string
    /** Undefined for a source: its splits decide. */
    readonly parallelism?: number
    /** `states`: see `stateText`. */
    readonly operators: readonly { readonly id: string; readonly type: string; readonly states: readonly string[] }[]
    readonly inputs: readonly [fromStage: number, exchange: string, key: string, ...unknown[]][]
  }[]
}

/** What state depends on, as a string to compare: stages, operators with their states, keys and parallelism. */
export function shapeOf(plan: PhysicalPlan): string {
  const ids = new Map(plan.stages.flatMap(s => [...s.ids]))
  return JSON.stringify({
    keyGroups: plan.options.keyGroups,
    stages: plan.stages.map(s => ({
      id: s.id,
      parallelism: s.source === undefined ? s.parallelism : undefined,
      operators: s.nodes.map(n => ({ id: s.ids.get(n), type: n.type, states: n.states.map(stateText) })),
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
