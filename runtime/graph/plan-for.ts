import { lostEdges } from './edge-heirs.ts'
import type { LogicalGraph } from './graph.ts'
import type { PhysicalPlan } from './plan.ts'
import { type PlanOptions, planPhysical } from './planner.ts'
import { type Shape, shapeOf } from './shape.ts'

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
  if (shapeOf(apart) === found) return apart
  const [was, ...is]: Shape[] = [found, shapeOf(usual), shapeOf(apart)].map(shape => JSON.parse(shape))
  return lostEdges(was!, is[1]!) < lostEdges(was!, is[0]!) ? apart : usual
}

/**
 * The plan of a run of this shape, which `planFor` has given; with as many subtasks as it began with. It may have been rescaled since, so that `options` say another parallelism.
 * Undefined: it is of another pipeline.
 */
export function planOfRun(graph: LogicalGraph, options: Omit<PlanOptions, 'apart'>, shape: string): PhysicalPlan | undefined {
  const { stages }: Shape = JSON.parse(shape)
  for (const apart of [false, true]) {
    const plan = planPhysical(graph, { ...options, apart })
    const begun = plan.stages.map((s, i) => ({ ...s, parallelism: stages[i]?.parallelism ?? s.parallelism }))
    if (shapeOf({ ...plan, stages: begun }) === shape) return { ...plan, stages: begun }
  }
  return undefined
}
