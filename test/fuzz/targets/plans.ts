import assert from 'node:assert/strict'
import fc from 'fast-check'
import { MillraceError } from '../../../runtime/errors.ts'
import { planPhysical } from '../../../runtime/graph/planner.ts'
import { type Shape, shapeOf } from '../../../runtime/graph/shape.ts'
import { stateOfText, stateText } from '../../../runtime/graph/state-text.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { checkPlan } from '../../graph/check.ts'
import { randomApp } from '../../graph/random-app.ts'
import type { Target } from '../target.ts'

/** Any pipeline: its plan, and the shape that its state is known by. */
export const plans: Target = {
  name: 'plans',
  once(dice) {
    let isPlanned = true
    for (const { app, options } of fc.sample(randomApp, { seed: dice.below(2 ** 31), numRuns: 1 })) {
      const graph = app.graph()
      try {
        const plan = planPhysical(graph, options)
        checkPlan(graph, plan)
        checkShape(JSON.parse(shapeOf(plan)), dice)
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error
        isPlanned = false
      }
    }
    return isPlanned
  },
}

function checkShape({ stages }: Shape, dice: Dice): void {
  for (const { operators } of stages)
    for (const { states } of operators) for (const text of states) assert.equal(stateText(stateOfText(text)), text)
  const panes = { size: dice.below(1e9) + 1, slide: dice.below(1e9) + 1, offset: dice.below(1e9) - 5e8, time: 'event' } as const
  const found = stateOfText(stateText({ name: `a:map of ${dice.below(9)}`, primitive: 'map', panes }))
  assert.deepEqual(found.panes, panes)
}
