import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShopEvent } from '../../examples/recommendations/events.ts'
import { plainActivities, plainKept, plainRecommendations, plainTrending } from './plain.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** Far from 0, on a full minute. */
const T = 1_000 * HOUR

function view(at: number, item_id = 'a', more: Partial<ShopEvent> = {}): ShopEvent {
  return { user_id: 'u', item_id, event_type: 'view', timestamp: T + at, ...more }
}

function keptTimes(events: ShopEvent[]): number[] {
  return plainKept(events).map(one => one.event.timestamp - T)
}

test('one view is in the five windows that it falls in; searches are no views', () => {
  const rows = plainTrending([view(0), view(1, 'b', { event_type: 'search' })])
  assert.deepEqual(
    rows,
    [1, 2, 3, 4, 5].map(m => {
      return { window_start: T + (m - 5) * MINUTE, window_end: T + m * MINUTE, rank: 1, item_id: 'a', views: 1 }
    }),
  )
})

test('ten a window, the most viewed first, equal ones by code unit', () => {
  const items = ['i10', 'i2', 'i2', 'z', 'B', 'a', 'c', 'd', 'e', 'f', 'g', 'h']
  const first = plainTrending(items.map((item, i) => view(i, item))).filter(row => row.window_end === T + MINUTE)
  assert.deepEqual(
    first.map(row => row.item_id),
    ['i2', 'B', 'a', 'c', 'd', 'e', 'f', 'g', 'h', 'i10'],
  )
  assert.deepEqual(
    first.map(row => row.rank),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  )
})

// The window [.., T+1m) fires at the watermark T+1m-1, that is once an event at T+1m+10s has been read.
test('a late event counts in those of its windows that have not fired', () => {
  const ends = (newest: number): number[] =>
    plainTrending([view(newest, 'other'), view(0, 'late')])
      .filter(row => row.item_id === 'late')
      .map(row => (row.window_end - T) / MINUTE)
  assert.deepEqual(ends(MINUTE + 9_999), [1, 2, 3, 4, 5])
  assert.deepEqual(ends(MINUTE + 10_000), [2, 3, 4, 5])
  assert.deepEqual(ends(5 * MINUTE + 9_999), [5])
  assert.deepEqual(ends(5 * MINUTE + 10_000), [])
})

test('an id is dropped for an hour from its first event, per user, and a dropped one does not renew it', () => {
  const at = (time: number, event_id?: string, user_id = 'u'): ShopEvent => view(time, 'a', { event_id, user_id })
  assert.deepEqual(keptTimes([at(0, 'e'), at(1, 'e'), at(2, 'f'), at(3), at(4, 'e', 'v')]), [0, 2, 3, 4])
  assert.deepEqual(keptTimes([at(0, 'e'), at(HOUR - 1, 'e'), at(HOUR, 'e'), at(2 * HOUR - 1, 'e')]), [0, HOUR])
  assert.deepEqual(keptTimes([at(5, 'e'), at(0, 'e')]), [5])
})

test('duplicates do not make a bot', () => {
  const events = Array.from({ length: 300 }, (_, i) => view(i, 'a', { event_id: `e${i % 100}` }))
  assert.equal(plainKept(events).length, 100)
  assert.equal(plainKept(events.map((event, i) => ({ ...event, event_id: `e${i}` }))).length, 100)
})

test('a user has a firing for each full minute with an event in the 30 minutes before', () => {
  const firings = plainActivities([view(MINUTE), view(MINUTE + 1, 'b', { event_type: 'click' }), view(0, 'c', { user_id: 'v' })])
  const u = firings.filter(firing => firing.user_id === 'u')
  assert.deepEqual(
    u.map(firing => (firing.window_end - T) / MINUTE),
    Array.from({ length: 30 }, (_, i) => i + 2),
  )
  assert.deepEqual(u[0]!.activity.recent_clicks, ['b', 'a'])
  assert.deepEqual([u[0]!.activity.clicks, u[0]!.activity.views], [1, 1])
  assert.equal(firings.filter(firing => firing.user_id === 'v').length, 30)
})

test('a line has 100 items by falling score; an item that no catalogue names is among them while its user remembers it', () => {
  const lines = plainRecommendations([view(0, 'brand-new'), view(10, 'i1', { user_id: 'v' })])
  assert.equal(lines.length, 60)
  for (const { items } of lines) {
    assert.equal(items.length, 100)
    for (let i = 1; i < items.length; i++) {
      const [a, b] = [items[i - 1]!, items[i]!]
      assert.ok(a.score > b.score || (a.score === b.score && a.item_id < b.item_id))
    }
  }
  assert.ok(lines.filter(line => line.user_id === 'u').every(line => line.items.some(item => item.item_id === 'brand-new')))
})
