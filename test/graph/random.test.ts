import { test } from 'node:test'
import fc from 'fast-check'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { checkPlan } from './check.ts'
import { randomApp } from './random-app.ts'

test('any graph is planned whole, without cycles, and nothing is re-keyed inside a stage of several subtasks', () => {
  fc.assert(
    fc.property(randomApp, ({ app, options }) => {
      const graph = app.graph()
      checkPlan(graph, planPhysical(graph, options))
    }),
    { numRuns: 500 },
  )
})
