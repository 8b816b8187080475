import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { buildIndex } from '../../examples/recommendations/ann.ts'
import { itemOf } from '../../examples/recommendations/catalogue.ts'
import { ModelError, type Models, modelsAt } from '../../examples/recommendations/models/client.ts'
import { itemFeatures } from '../../examples/recommendations/models/features.ts'
import { rank } from '../../examples/recommendations/models/ranker.ts'
import { serveModels } from '../../examples/recommendations/models/server.ts'
import { userTower } from '../../examples/recommendations/models/tower.ts'
import type { Activity, UserActivity } from '../../examples/recommendations/records.ts'
import { dot } from '../../examples/recommendations/seeded.ts'

type Served = Awaited<ReturnType<typeof serveModels>>

const activity: Activity = {
  recent_queries: ['lamps', 'i7', 'red shoes'],
  recent_clicks: ['i3', 'never-seen'],
  categories: { lamps: 3, shoes: 2 },
  searches: 3,
  clicks: 1,
  views: 1,
}
const batch = ['u1', 'u2', 'u3'].map((user_id, i): UserActivity => {
  return { user_id, window_end: 60_000, activity: { ...activity, clicks: i } }
})

let served: Served
let models: Models
before(async () => {
  served = await serveModels()
  models = modelsAt(() => served.url)
})
after(() => stop(served))

async function stop({ server }: Served): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

test('the tower gives 128 numbers of length 1, near what the user looked at, also for a user without clicks', () => {
  const embedding = userTower(activity)
  assert.equal(embedding.length, 128)
  assert.ok(Math.abs(dot(embedding, embedding) - 1) < 1e-4)
  assert.ok(dot(embedding, itemOf('i3').embedding) > 0.4)
  assert.deepEqual(userTower(structuredClone(activity)), embedding)
  const quiet = userTower({ recent_queries: [], recent_clicks: [], categories: {}, searches: 1, clicks: 0, views: 0 })
  assert.ok(Math.abs(dot(quiet, quiet) - 1) < 1e-4)
})

test('an item that no catalogue names has all that others have', () => {
  const item = itemOf('brand-new')
  assert.ok(Math.abs(dot(item.embedding, item.embedding) - 1) < 1e-5)
  assert.ok(item.price > 0 && item.category)
  assert.ok(itemFeatures('brand-new').every(value => Number.isInteger(value) && value >= 0 && value <= 100))
})

test('over HTTP the models answer exactly what they answer in this process', async () => {
  const users = await models.userTower(batch)
  assert.deepEqual(
    users.map(user => user.embedding),
    batch.map(user => userTower(user.activity)),
  )
  const candidates = await models.annLookup(users)
  const index = buildIndex()
  candidates.forEach((found, i) => {
    const near = index.nearest(users[i]!.embedding, activity.recent_clicks)
    assert.deepEqual({ item_ids: found.item_ids, similarity: found.similarity }, near)
  })
  const inputs = candidates.map((found, i) => ({ ...found, embedding: users[i]!.embedding }))
  const withFeatures = await models.fetchItemFeatures(inputs)
  assert.deepEqual(Array.from(withFeatures[0]!.features), inputs[0]!.item_ids.flatMap(itemFeatures))
  const recommendations = await models.rank(withFeatures)
  assert.deepEqual(
    recommendations,
    withFeatures.map(input => ({ user_id: input.user_id, window_end: input.window_end, items: rank(input) })),
  )
  assert.equal(recommendations[0]!.items.length, 100)
})

test('ranking is by score, then by id, whatever the order of the candidates', () => {
  const ids = ['i1', 'i2', 'i3', 'x']
  const of = (item_ids: string[]) => {
    const zeros = item_ids.map(() => 0)
    const rest = { similarity: zeros, views: zeros, sources: zeros.map(() => 1), features: item_ids.flatMap(itemFeatures) }
    return rank({ embedding: userTower(activity), item_ids, ...rest })
  }
  const ranked = of(ids)
  assert.deepEqual(of([...ids].reverse()), ranked)
  for (let i = 1; i < ranked.length; i++) assert.ok(ranked[i - 1]!.score >= ranked[i]!.score)
})

test('a failing endpoint answers 503, which may be retried; the same seed fails at the same requests', async () => {
  const outcomes = async (): Promise<string> => {
    const failing = await serveModels({ failureRate: 0.4, seed: 9 })
    const calls = modelsAt(() => failing.url)
    let seen = ''
    for (let i = 0; i < 20; i++) {
      seen += await calls.userTower(batch).then(
        () => '.',
        error => {
          assert.ok(error instanceof ModelError && error.retryable)
          assert.equal(error.status, 503)
          return 'x'
        },
      )
    }
    await stop(failing)
    return seen
  }
  const seen = await outcomes()
  assert.match(seen, /\./)
  assert.match(seen, /x/)
  assert.equal(await outcomes(), seen)
})

test('a request that no retry can help is a 4xx and not retryable; a server that is away is retryable', async () => {
  const wrong = [
    { user_id: 'u', window_end: 1, item_ids: ['i1'], similarity: [0], views: [0], sources: [1], embedding: [1], features: [] },
  ]
  await assert.rejects(models.rank(wrong), (error: ModelError) => error.status === 400 && !error.retryable)
  const nowhere = modelsAt(() => 'http://127.0.0.1:1')
  await assert.rejects(nowhere.userTower(batch), (error: ModelError) => error.retryable)
})

test('latency is waited for, and a call can be given up', async () => {
  const slow = await serveModels({ latencyMs: 200 })
  const calls = modelsAt(() => slow.url)
  const start = performance.now()
  await calls.userTower(batch)
  assert.ok(performance.now() - start >= 190)
  await assert.rejects(calls.userTower(batch, { signal: AbortSignal.timeout(20) }), ModelError)
  await stop(slow)
})
