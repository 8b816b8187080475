/**
 * Searches, clicks and views become, each full minute, the ten most viewed items and a top 100 for every user who was there in the last half
 * hour. README.md has the rules; the functions are in the files beside this one; here is how they are put together.
 */
import {
  boundedOutOfOrderness,
  fileSink,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  redis,
  sliding,
  sum,
  tumbling,
  value,
} from 'millrace'
import { userActivity } from './activity.ts'
import { type BotState, judge, noBot } from './bots.ts'
import { ShopEvent } from './events.ts'
import { mergeCandidates, trendingCandidates } from './merge.ts'
import { type Models, ownModels } from './models/client.ts'
import { type Recommendation, TRENDING_CANDIDATES, TRENDING_ROWS, type TrendingList, type UserActivity } from './records.ts'
import { countItems, itemsViewed, trendingList, trendingRow } from './trending.ts'

const CALLS = { size: 64, timeout: '10s', retries: 6 } as const

/** The pipeline, with whatever answers its model calls. */
export function recommendations(models: Models): Pipeline {
  const app = pipeline('recommendations')

  const events = app.source('events', ndjson(ShopEvent), { time: e => e.timestamp, watermark: boundedOutOfOrderness('10s') })
  // Searches, clicks and views come united. From streams of their own it would be searches.union(clicks, views).
  const kept = events
    .keyBy('user_id')
    // Half an hour behind the watermark an event is in no open window. Told so, dedup knows how long an id can matter.
    .dedup('event_id', { ttl: '1h', allowedLateness: '30m' })
    .process({
      state: { bot: value<BotState>({ ttl: '3h' }) },
      onRecord(event, { state, timestamp }) {
        const verdict = judge(state.bot.get() ?? noBot, timestamp)
        state.bot.set(verdict.state)
        return verdict.bot ? [] : [event]
      },
    })
    .name('bots')

  // Views are counted per user first, then over all. It sends less, and it makes late events count alike at any parallelism:
  // each user's arrive in their order, with the watermark between them, whereas an item's come from many subtasks.
  const trending = kept
    .filter(e => e.event_type !== 'search')
    .window(sliding('5m', '1m'))
    .aggregate(itemsViewed)
    .flatMap(countItems)
    .keyBy('item_id')
    .window(tumbling('1m')) // the results of one sliding window all have its last millisecond as their time
    .aggregate(sum('views'), (views, { key, window }) => ({ item_id: key, window_end: window.end, views }))
    .parallelism(1)
    .keyBy('window_end')
    .topN(TRENDING_CANDIDATES, { by: ['-views', 'item_id'] })
    .parallelism(1)

  trending
    .filter(item => item.rank <= TRENDING_ROWS)
    .map(trendingRow)
    .sink('trending', fileSink('out/trending.ndjson'))
    .parallelism(1)

  const activity = kept
    .window(sliding('30m', '1m'))
    .aggregate(userActivity, (activity, { key, window }): UserActivity => ({ user_id: key, window_end: window.end, activity }))

  activity.sink('activity', fileSink('out/activity.ndjson'))

  const users = activity.mapAsyncBatch(models.userTower, CALLS)

  const fromIndex = users.mapAsyncBatch(models.annLookup, CALLS)

  const fromTrending = users
    .connect(
      trending
        .window(tumbling('1m'))
        .process((items, { window }) => [trendingList(items, window.end)])
        .broadcast(),
    )
    .process({
      broadcast: { lists: map<number, TrendingList>() },
      // A window's list and its users come by different ways. Once the watermark has reached the window's end on both, the list is here.
      onRecord(_user, ctx) {
        ctx.timers.event.set(ctx.timestamp)
      },
      onTimer(at, { key, broadcast }) {
        const window_end = at + 1
        return [trendingCandidates({ user_id: key, window_end }, broadcast.lists.get(window_end))]
      },
      onBroadcast(list, { broadcast, currentWatermark }) {
        for (const end of broadcast.lists.keys()) if (end <= currentWatermark) broadcast.lists.delete(end)
        broadcast.lists.set(list.window_end, list)
      },
    })

  fromIndex
    .union(fromTrending)
    .keyBy('user_id') // it is the key already: no shuffle
    .window(tumbling('2s'))
    .reduce(mergeCandidates)
    .joinWith(users, (candidates, user) => ({ ...candidates, embedding: user!.embedding }), { ttl: '1h' })
    .mapAsyncBatch(models.fetchItemFeatures, CALLS)
    .mapAsyncBatch(models.rank, CALLS)
    .sink(
      'recommendations',
      process.env.REDIS_URL
        ? redis<Recommendation>({ key: r => `top:${r.user_id}`, version: r => r.window_end })
        : fileSink('out/recommendations.ndjson'),
    )

  return app
}

export default recommendations(ownModels())
