import type { Pipeline } from '../api/pipeline.ts'

/** The pipeline with so many key groups: with few of them a cold start asks for few ranges of timers. */
export function withKeyGroups(app: Pipeline, keyGroups: number): Pipeline {
  const graph = app.graph()
  return Object.assign(Object.create(app), { graph: () => ({ ...graph, options: { ...graph.options, keyGroups } }) })
}
