import type { PhysicalPlan } from '../graph/plan.ts'

/** What state depends on, as a string to compare: stages, operators with their states, keys and parallelism. */
export function shapeOf(plan: PhysicalPlan): string {
  return JSON.stringify({
    keyGroups: plan.options.keyGroups,
    stages: plan.stages.map(s => ({
      id: s.id,
      parallelism: s.source === undefined ? s.parallelism : undefined,
      operators: s.nodes.map(n => ({ id: s.ids.get(n), type: n.type, states: n.states.map(d => `${d.name}:${d.primitive}`) })),
      inputs: s.inputs.map(e => [
        e.fromStage,
        e.exchange.kind,
        e.exchange.kind === 'key' ? e.exchange.key.label : '',
        e.carryKey,
        e.fields,
      ]),
    })),
  })
}
