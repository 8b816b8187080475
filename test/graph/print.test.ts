import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { planJson, planMermaid, planText } from '../../runtime/graph/print.ts'
import { recommendations } from './pipelines.ts'

const plan = planPhysical(recommendations().graph(), { parallelism: 4 })

test('the text names stages, keys, parallelism, why each shuffle is there and which keyBy costs none', () => {
  const text = planText(plan)
  assert.match(text, /^pipeline recommendations: 4 stages \(1 source\), 3 shuffles, 128 key groups\n/)
  assert.match(text, /by user_id: no key before/)
  assert.match(text, /by item_id, was by user_id/)
  assert.match(text, /broadcast: every subtask needs every record/)
  assert.match(text, /still by user_id: /)
  assert.match(text, /keyBy window_end costs no shuffle: there is one subtask before and after it/)
  assert.match(text, /1 subtask\n/)
  assert.match(text, /4 subtasks\n/)
})

test('the JSON is the plan', () => {
  assert.equal(JSON.parse(planJson(plan)).shuffles, 3)
})

test('the drawing has a box for each operator and an arrow for each edge', () => {
  const drawing = planMermaid(plan)
  assert.match(drawing, /^flowchart LR\n/)
  assert.equal(drawing.match(/subgraph/g)!.length, 4)
  assert.equal(drawing.match(/==>/g)!.length, plan.stages.flatMap(s => s.inputs.flatMap(e => e.targets)).length)
  assert.doesNotMatch(drawing, /undefined/)
})
