import type { SourceConnector } from '../connectors/source.ts'
import { MillraceError } from '../errors.ts'
import type { PhysicalPlan } from '../graph/plan.ts'

/** The connector of each source of the plan: what is bound in its place, or its own. @throws MillraceError where there is none */
export function bindSources(
  plan: PhysicalPlan,
  bound: Readonly<Record<string, SourceConnector>> = {},
): Map<string, SourceConnector> {
  const specs = plan.stages.flatMap(s => s.source?.source ?? [])
  for (const name of Object.keys(bound)) {
    if (!specs.some(s => s.name === name)) {
      throw new MillraceError(`the pipeline has no source '${name}'; its sources are ${specs.map(s => `'${s.name}'`).join(', ')}`)
    }
  }
  return new Map(
    specs.map(spec => {
      const connector = bound[spec.name] ?? spec.connector
      if (connector === undefined) {
        throw new MillraceError(
          `source '${spec.name}' has nothing to read from: give it a connector in the pipeline, or bind it with --source ${spec.name}=PATH`,
        )
      }
      return [spec.name, connector]
    }),
  )
}

export async function listSplits(connectors: ReadonlyMap<string, SourceConnector>): Promise<Map<string, readonly string[]>> {
  const splits = new Map<string, readonly string[]>()
  for (const [name, connector] of connectors) {
    const list = await connector.splits()
    if (list.length === 0) throw new MillraceError(`source '${name}' (${connector.describe()}) has nothing to read`)
    splits.set(name, list)
  }
  return splits
}

/** Subtasks of each source stage, by its index: one a split. */
export function sourceSplits(plan: PhysicalPlan, splits: ReadonlyMap<string, readonly string[]>): Map<number, number> {
  return new Map(plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, splits.get(s.source.source!.name)!.length]])))
}
