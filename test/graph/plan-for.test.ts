import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { canDivide } from '../../runtime/graph/edge-heirs.ts'
import { planFor } from '../../runtime/graph/plan-for.ts'
import { shapeOf } from '../../runtime/graph/shape.ts'
import { checkPlan } from './check.ts'
import { randomApp } from './random-app.ts'

const parallelism = fc.constantFrom(1, 2, 3, 4, 8)

test('any graph whose operators set no parallelism of their own can go on at any from any other, again and again', () => {
  fc.assert(
    fc.property(randomApp, fc.array(parallelism, { minLength: 2, maxLength: 4 }), ({ app, options }, numbers) => {
      const graph = app.graph()
      // Beside an operator with a number of its own another one is in its stage or not, by the run's: what was on its way between them may have no place.
      const own = graph.nodes.some(node => node.parallelism !== undefined)
      let found: string | undefined
      for (const n of numbers) {
        const plan = planFor(graph, { ...options, parallelism: n }, found)
        checkPlan(graph, plan)
        const shape = shapeOf(plan)
        assert.ok(found === undefined || own || canDivide(found, shape), `${found}\n${shape}`)
        // The run goes on with the same command.
        assert.equal(shapeOf(planFor(graph, { ...options, parallelism: n }, shape)), shape)
        found = shape
      }
    }),
    { numRuns: 300 },
  )
})
