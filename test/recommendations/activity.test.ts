import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pack, unpack } from 'msgpackr'
import { type ActivityAccumulator, userActivity } from '../../examples/recommendations/activity.ts'
import type { ShopEvent } from '../../examples/recommendations/events.ts'
import { plainActivity } from './plain.ts'
import { shopEvent } from './shop.ts'

const { createAccumulator, add, merge, getResult } = userActivity

function of(events: ShopEvent[]): ActivityAccumulator {
  return events.reduce(add, createAccumulator())
}

test('panes merged in any order and grouping give what the sorted events give', () => {
  const panes = fc.array(fc.array(shopEvent, { maxLength: 25 }), { minLength: 3, maxLength: 6 })
  fc.assert(
    fc.property(panes, fc.infiniteStream(fc.nat()), (events, picks) => {
      const left = events.map(of)
      // Two panes at random become one, until one is left: every shape of merging, in every order.
      while (left.length > 1) {
        const [a] = left.splice(picks.next().value! % left.length, 1)
        const at = picks.next().value! % left.length
        left[at] = merge(a!, left[at]!)
      }
      assert.deepEqual(getResult(left[0]!), plainActivity(events.flat()))
    }),
  )
})

test('the order in which events come changes nothing', () => {
  fc.assert(
    fc.property(
      fc
        .array(shopEvent, { maxLength: 60 })
        .chain(events => fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length }))),
      ([events, shuffled]) => assert.deepEqual(getResult(of(shuffled)), getResult(of(events))),
    ),
  )
})

test('an accumulator survives msgpack, stays small, and is not changed by what is made of it', () => {
  const events = Array.from({ length: 5_000 }, (_, i): ShopEvent => {
    return { user_id: 'u', item_id: `item${i}`, event_type: i % 2 ? 'click' : 'search', timestamp: i }
  })
  const acc = of(events)
  const before = structuredClone(acc)
  assert.deepEqual(unpack(pack(acc)), acc)
  assert.ok(pack(acc).length < 1_000, `${pack(acc).length} bytes`)
  merge(acc, acc)
  add(acc, events[0]!)
  assert.deepEqual(acc, before)
})
