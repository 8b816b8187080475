import { canDivide } from './edge-heirs.ts'
import type { LogicalGraph } from './graph.ts'
import type { PhysicalPlan } from './plan.ts'
import { type PlanOptions, planPhysical } from './planner.ts'
import { shapeOf } from './shape.ts'

/**
 * The plan that goes on from state of the shape `found`. With a parallelism of 1 a keyBy needs no cut, so that two stages would become one, and what was on its way between them could go nowhere: where the
 * usual plan can't go on for that, it is the one whose stages are cut apart whatever the parallelism is. `found` undefined, or of something else altogether: the usual one.
 *
 * @throws MillraceError as planPhysical does
 */
export function planFor(graph: LogicalGraph, options: Omit<PlanOptions, 'apart'>, found: string | undefined): PhysicalPlan {
  const usual = planPhysical(graph, options)
  if (found === undefined || shapeOf(usual) === found) return usual
  const apart = planPhysical(graph, { ...options, apart: true })
  if (shapeOf(apart) === found || (!canDivide(found, shapeOf(usual)) && canDivide(found, shapeOf(apart)))) return apart
  return usual
}
