import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN_CANDIDATES, buildIndex } from '../../examples/recommendations/ann.ts'
import { catalogueIds, itemOf } from '../../examples/recommendations/catalogue.ts'
import { userTower } from '../../examples/recommendations/models/tower.ts'
import { dot } from '../../examples/recommendations/seeded.ts'

const index = buildIndex()
const ids = catalogueIds()
const embeddings = Array.from({ length: 40 }, (_, i) => {
  const recent_clicks = [`i${i * 50 + 1}`, `i${i + 1}`, `new-${i}`].slice(0, 1 + (i % 3))
  return userTower({
    recent_queries: i % 2 ? ['lamps'] : [],
    recent_clicks,
    categories: {},
    searches: i % 2,
    clicks: 3,
    views: 0,
  })
})

test('of the 500 nearest by brute force the index finds more than 95 %', () => {
  let found = 0
  for (const embedding of embeddings) {
    const exact = ids.map(id => [id, dot(embedding, itemOf(id).embedding)] as const).sort((a, b) => b[1] - a[1])
    const near = new Set(index.nearest(embedding, []).item_ids)
    assert.equal(near.size, ANN_CANDIDATES)
    found += exact.slice(0, ANN_CANDIDATES).filter(([id]) => near.has(id)).length
  }
  const recall = found / (embeddings.length * ANN_CANDIDATES)
  assert.ok(recall > 0.95, `recall ${recall}`)
})

test('an answer depends on neither the order of the questions nor the index it is asked of', () => {
  const answers = embeddings.map(embedding => index.nearest(embedding, []))
  const other = buildIndex([...ids].reverse())
  const backwards = [...embeddings].reverse().map(embedding => other.nearest(embedding, []))
  assert.deepEqual(backwards.reverse(), answers)
})

test('the items asked for besides are there once, compared exactly, in order of id', () => {
  const embedding = embeddings[0]!
  const plain = index.nearest(embedding, [])
  const { item_ids, similarity } = index.nearest(embedding, ['zzz', 'zzz', plain.item_ids[0]!])
  assert.deepEqual(item_ids, [...plain.item_ids, 'zzz'])
  assert.ok(Math.abs(similarity.at(-1)! - dot(embedding, itemOf('zzz').embedding)) < 1e-4)
})

test('a small catalogue is found whole, an empty one gives nothing', () => {
  assert.deepEqual(buildIndex(['b', 'a']).nearest(embeddings[0]!, []).item_ids, ['a', 'b'])
  assert.deepEqual(buildIndex([]).nearest(embeddings[0]!, []).item_ids, [])
})
