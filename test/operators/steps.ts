import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Operator } from '../../runtime/operators/operator.ts'
import type { StateDeclaration } from '../../runtime/state/declaration.ts'
import { Harness } from './harness.ts'

/** Disordered records of two inputs, watermarks (which rise by `advance`) and commits. */
const step = fc.record({
  kind: fc.constantFrom('record', 'record', 'record', 'watermark', 'commit'),
  input: fc.constantFrom(0, 1),
  key: fc.constantFrom('x', 'y'),
  at: fc.integer({ min: 0, max: 60 }),
  n: fc.integer({ min: 0, max: 5 }),
  advance: fc.integer({ min: 0, max: 12 }),
})
export type Step = { kind: string; input: number; key: string; at: number; n: number; advance: number }
export const steps = fc.array(step, { maxLength: 60, size: 'max' })
export interface Value {
  id: number
  n: number
}
/** A record as a naive model sees it: with the watermark when it came. */
export interface Seen extends Step {
  value: Value
  watermark: number
}

/** Runs the steps warm or cold, to the end of the input. */
export async function run(operator: Operator, states: readonly StateDeclaration[], steps: Step[], inputs: number, cold: boolean) {
  const harness = await Harness.open(operator, states)
  const seen: Seen[] = []
  let watermark = Number.NEGATIVE_INFINITY
  const move = (to: number) => {
    watermark = to
    for (let input = 0; input < inputs; input++) harness.watermark(to, input)
  }
  for (const [id, s] of steps.entries()) {
    if (s.kind === 'commit') {
      if (cold) await harness.commit(key => s.n > 2 || key === s.key)
    } else if (s.kind === 'watermark') move(Math.max(0, watermark) + s.advance)
    else {
      const value = { id, n: s.n }
      seen.push({ ...s, value, watermark })
      harness.record(value, s.at, s.key, inputs === 1 ? 0 : s.input)
    }
  }
  move(Number.POSITIVE_INFINITY)
  await harness.commit()
  return { harness, seen }
}

/** Warm and cold runs give the same, in the same order; returns what they gave and what came in. */
export async function both(make: () => Operator, states: readonly StateDeclaration[], steps: Step[], inputs: number) {
  const warm = await run(make(), states, steps, inputs, false)
  const cold = await run(make(), states, steps, inputs, true)
  assert.deepEqual(cold.harness.log, warm.harness.log)
  assert.deepEqual(cold.harness.sides, warm.harness.sides)
  return cold
}
