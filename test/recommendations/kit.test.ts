/** The example's own tests, as its authors would write them with millrace/testing: with the models in this process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BOT_EVENTS, BOT_FOR_MS } from '../../examples/recommendations/bots.ts'
import type { ShopEvent } from '../../examples/recommendations/events.ts'
import { answers } from '../../examples/recommendations/models/answers.ts'
import { modelsOf } from '../../examples/recommendations/models/client.ts'
import { recommendations } from '../../examples/recommendations/pipeline.ts'
import { traffic } from '../../examples/recommendations/traffic.ts'
import {
  alwaysRedeliver,
  crashAfter,
  expectExactlyOnce,
  openTestPipeline,
  type TestPipeline,
  zombies,
} from '../../runtime/testing/index.ts'
import { type Lines, plain, sorted } from './run.ts'

const MINUTE = 60_000
const endpoints = answers()
const models = modelsOf(async (endpoint, batch) => endpoints[endpoint](batch))
const app = recommendations(models)

async function linesOf(...pipelines: readonly TestPipeline[]): Promise<Lines> {
  const lines = async (sink: string) =>
    (await Promise.all(pipelines.map(t => t.results(sink)))).flat().map(row => JSON.stringify(row))
  return sorted({
    trending: await lines('trending'),
    activity: await lines('activity'),
    recommendations: await lines('recommendations'),
  })
}

test('a view moves what is trending, and makes recommendations, when its minute is over', async () => {
  await using t = await openTestPipeline(app)
  const view: ShopEvent = { user_id: 'ann', item_id: 'item7', event_type: 'view', timestamp: 1_000 }
  await t.send('events', [view, { ...view, item_id: '' }])
  assert.equal((await t.deadLetters())[0]!.reason, 'invalid: item_id: a click or a view names an item')
  assert.deepEqual(await t.results('trending'), [])
  await t.watermark(MINUTE - 1)
  const row = { window_start: -4 * MINUTE, window_end: MINUTE, rank: 1, item_id: 'item7', views: 1 }
  assert.deepEqual(await t.results('trending'), [row])
  const [first] = await t.results('recommendations')
  assert.equal(first.user_id, 'ann')
  assert.equal(first.items.length, 100)
})

test('a bot is remembered for an hour from the event that made it one', async () => {
  await using t = await openTestPipeline(app)
  const flood = Array.from({ length: BOT_EVENTS + 20 }, (_, i) => {
    return { user_id: 'bot', item_id: 'item1', event_type: 'view', timestamp: 1_000 + i }
  })
  await t.send('events', flood)
  const { bot } = await t.state('bots', 'bot')
  assert.equal(bot.recent.length, BOT_EVENTS)
  assert.deepEqual([bot.from, bot.until], [1_000 + BOT_EVENTS, 1_000 + BOT_EVENTS + BOT_FOR_MS])
  await t.watermark(MINUTE - 1)
  assert.equal((await t.results('trending'))[0].views, BOT_EVENTS)
})

test('traffic gives what the plain computation gives: from a snapshot in the middle, under faults, with four subtasks', async () => {
  const events = [...traffic({ users: 3, minutes: 2, rate: 0.5, seed: 7, bots: 0 })]
  const expected = sorted(plain(events))
  assert.ok(expected.recommendations.length > 30 && expected.trending.length > 15)
  const half = events.length >> 1
  await using first = await openTestPipeline(app, { parallelism: 4, faults: [alwaysRedeliver] })
  await first.send('events', events.slice(0, half))
  const snapshot = await first.snapshot()
  await using second = await openTestPipeline(app, { parallelism: 4, from: snapshot, faults: [zombies, crashAfter('send')] })
  await second.send('events', events.slice(half))
  await second.end()
  assert.deepEqual(await linesOf(first, second), expected)
})

test('whatever goes wrong on AWS, its results are the same, each once', async () => {
  const events = Array.from({ length: 12 }, (_, i): ShopEvent => {
    return { user_id: `u${i % 2}`, item_id: `item${i % 5}`, event_type: 'view', timestamp: i * 20_000, event_id: `e${i % 11}` }
  })
  const end = { user_id: 'end', item_id: '', event_type: 'search', timestamp: 6 * MINUTE }
  const report = await expectExactlyOnce(app, { events: [...events, end] }, { seeds: 2 })
  assert.ok(report.rows > 30, report.text)
})
