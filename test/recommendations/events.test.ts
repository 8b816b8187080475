import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ShopEvent } from '../../examples/recommendations/events.ts'

const click = { user_id: 'u1', item_id: 'i1', event_type: 'click', timestamp: 5 }

test('an event is taken with epoch ms or an ISO time, and without the fields nobody knows', () => {
  assert.deepEqual(ShopEvent.parse({ ...click, page: 3 }), click)
  assert.equal(ShopEvent.parse({ ...click, timestamp: '2024-03-01T12:00:00.727Z' }).timestamp, 1_709_294_400_727)
  assert.equal(ShopEvent.parse({ ...click, timestamp: '2024-03-01T13:00:00+01:00' }).timestamp, 1_709_294_400_000)
})

test('a search may name no item, a click must', () => {
  const search = { user_id: 'u1', event_type: 'search', timestamp: 5, query: 'lamps' }
  assert.deepEqual(ShopEvent.parse(search), { ...search, item_id: '' })
  assert.equal(ShopEvent.safeParse({ ...search, event_type: 'click' }).success, false)
  assert.equal(ShopEvent.safeParse({ ...click, item_id: '' }).success, false)
})

test('what is no event is refused', () => {
  for (const wrong of [
    { ...click, event_type: 'buy' },
    { ...click, timestamp: 'yesterday' },
    { ...click, timestamp: -1 },
    { ...click, timestamp: 1.5 },
    { ...click, user_id: '' },
    { ...click, user_id: 7 },
    null,
    'text',
  ]) {
    assert.equal(ShopEvent.safeParse(wrong).success, false, JSON.stringify(wrong))
  }
})
