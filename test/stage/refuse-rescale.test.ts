import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { boundedOutOfOrderness, fileSink, ndjson, type Pipeline, pipeline, sum, tumbling } from '../../runtime/index.ts'
import { refuseRescale } from '../../runtime/stage/refuse-rescale.ts'
import { TABLE } from '../../runtime/state/backend.ts'

const Sale = z.object({ item: z.string(), amount: z.number(), at: z.number() })

/** Sums by item, and of those by shop, which may be together in one subtask. */
function sales(parallelism: number): Pipeline {
  const app = pipeline('sales')
  app
    .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('1s') })
    .keyBy('item')
    .window(tumbling('1m'))
    .aggregate(sum('amount'), (amount, { key }) => ({ item: key, shop: key.slice(0, 1), amount }))
    .parallelism(parallelism)
    .keyBy('shop')
    .topN(3, { by: ['-amount'] })
    .parallelism(parallelism)
    .sink('best', fileSink('best.ndjson'))
    .parallelism(parallelism)
  return app
}

function refuse(app: Pipeline): void {
  const plan = planPhysical(app.graph(), { parallelism: 2 })
  for (const { index, source } of plan.stages) if (source === undefined) refuseRescale({ plan, stateBackend: TABLE }, index)
}

describe('the shards of a stage', () => {
  test('may not be split where one subtask has records go from one key to another', () => {
    assert.throws(() => refuse(sales(1)), {
      message:
        /^stage '[^']+' can't have more subtasks than one while it runs: topn\S* gets its records under another key than window\S*, in the same subtask\. That takes a new run, from a checkpoint$/,
    })
  })

  test('may be split where each stage has one key', () => {
    refuse(sales(2))
  })
})
