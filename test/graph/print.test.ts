import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { planJson, planMermaid, planText } from '../../runtime/graph/print.ts'
import { count, ndjson, pipeline, print, tumbling } from '../../runtime/index.ts'
import { anything, type Event, recommendations, TIME } from './pipelines.ts'

const plan = planPhysical(recommendations().graph(), { parallelism: 4 })

test('the text names stages, keys, parallelism, why each shuffle is there and which keyBy costs none', () => {
  const text = planText(plan)
  assert.match(text, /^pipeline recommendations: 4 stages \(1 source\), 3 shuffles, 128 key groups\n/)
  assert.match(text, /source-events, shuffled by user_id: the records were not grouped by any key before\n/)
  assert.match(text, /shuffled by item_id: the records were grouped by user_id before[ \n]/)
  assert.match(text, /broadcast: every subtask needs every record/)
  assert.match(text, /passed on by user_id as before: another stream joins here, /)
  assert.match(text, /keyBy window_end costs no shuffle: there is only one subtask, before and after it/)
  assert.match(text, /1 subtask\n/)
  assert.match(text, /4 subtasks\n/)
})

test('what of a record stays behind is told in words', () => {
  const app = pipeline('p')
  const views = app.source('views', ndjson(anything<Event>()), TIME)
  views.keyBy('item_id').window(tumbling('1m')).aggregate(count()).sink('views', print())
  const text = planText(planPhysical(app.graph()))
  assert.match(text, / before \(of the records, only the field item_id travels\)\n/)
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
