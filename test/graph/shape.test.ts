import assert from 'node:assert/strict'
import test from 'node:test'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { shapeOf } from '../../runtime/graph/shape.ts'
import { monotonous, ndjson, pipeline, print, sideOutput } from '../../runtime/index.ts'
import { Event } from '../engine/events.ts'

/** Two reduces with uids, each on a side output of its own. */
function shape(swapped: boolean): string {
  const app = pipeline('swapped')
  const [left, right] = [sideOutput<Event>('left'), sideOutput<Event>('right')]
  const split = app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() }).process((e, ctx) => {
    ctx.output(e.kind === 'view' ? left : right, e)
    return []
  })
  for (const [uid, tag] of [
    ['one', swapped ? right : left],
    ['two', swapped ? left : right],
  ] as const) {
    split
      .sideOutput(tag)
      .keyBy('user')
      .reduce(a => a)
      .uid(uid)
      .sink(uid, print())
  }
  return shapeOf(planPhysical(app.graph(), { parallelism: 2 }))
}

test('a plan whose operators read other streams than before has another shape: frames on their way name edges by number', () => {
  assert.equal(shape(false), shape(false))
  assert.notEqual(shape(true), shape(false))
})
