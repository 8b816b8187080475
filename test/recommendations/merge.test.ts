import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mergeCandidates, trendingCandidates } from '../../examples/recommendations/merge.ts'
import { type Candidates, FROM_ANN, FROM_TRENDING, type TrendingList } from '../../examples/recommendations/records.ts'

const user = { user_id: 'u1', window_end: 600_000 }
const list: TrendingList = {
  window_start: 300_000,
  window_end: 600_000,
  items: [
    { item_id: 'i9', views: 7 },
    { item_id: 'i10', views: 3 },
  ],
}

test('an item of both sources is there once, with both and its similarity, even a negative one', () => {
  const near: Candidates = {
    ...user,
    item_ids: ['i1', 'i9'],
    similarity: [0.5, -0.25],
    views: [0, 0],
    sources: [FROM_ANN, FROM_ANN],
  }
  const merged: Candidates = {
    ...user,
    item_ids: ['i1', 'i10', 'i9'],
    similarity: [0.5, 0, -0.25],
    views: [0, 3, 7],
    sources: [FROM_ANN, FROM_TRENDING, FROM_ANN | FROM_TRENDING],
  }
  assert.deepEqual(mergeCandidates(near, trendingCandidates(user, list)), merged)
  assert.deepEqual(mergeCandidates(trendingCandidates(user, list), near), merged)
})

test('a list of another window, or none, gives no candidates', () => {
  assert.deepEqual(trendingCandidates({ ...user, window_end: 660_000 }, list).item_ids, [])
  assert.deepEqual(trendingCandidates(user, undefined).item_ids, [])
})

test('at most 200 trending items are taken, the most viewed ones', () => {
  const items = Array.from({ length: 300 }, (_, i) => ({ item_id: `i${i}`, views: 300 - i }))
  const { item_ids, views } = trendingCandidates(user, { ...list, items })
  assert.equal(item_ids.length, 200)
  assert.equal(Math.min(...views), 101)
  assert.deepEqual(item_ids, [...item_ids].sort())
})

const candidates: fc.Arbitrary<Candidates> = fc
  .uniqueArray(
    fc.record({ id: fc.nat(20), sim: fc.integer({ min: -9, max: 9 }), views: fc.nat(9), source: fc.integer({ min: 1, max: 3 }) }),
    {
      selector: one => one.id,
    },
  )
  .map(all => {
    const sorted = all.map(one => ({ ...one, item_id: `i${one.id}` })).sort((a, b) => (a.item_id < b.item_id ? -1 : 1))
    return {
      ...user,
      item_ids: sorted.map(one => one.item_id),
      similarity: sorted.map(one => (one.source === FROM_TRENDING ? 0 : one.sim / 10)),
      views: sorted.map(one => (one.source === FROM_ANN ? 0 : one.views)),
      sources: sorted.map(one => one.source),
    }
  })

test('merging is commutative, associative and idempotent', () => {
  fc.assert(
    fc.property(candidates, candidates, candidates, (a, b, c) => {
      assert.deepEqual(mergeCandidates(a, b), mergeCandidates(b, a))
      assert.deepEqual(mergeCandidates(mergeCandidates(a, b), c), mergeCandidates(a, mergeCandidates(b, c)))
      assert.deepEqual(mergeCandidates(a, a), a)
    }),
  )
})
