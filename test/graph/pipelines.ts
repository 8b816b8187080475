import type { StandardSchemaV1 } from '@standard-schema/spec'
import { count, map, monotonous, ndjson, type PipelineOptions, pipeline, print, sliding, tumbling } from '../../runtime/index.ts'

export interface Event {
  readonly user_id: string
  readonly item_id: string
  readonly event_type: string
  readonly timestamp: number
  readonly event_id?: string
}

/** A validator that lets everything through as `T`. */
export function anything<T>(): StandardSchemaV1<unknown, T> {
  return { '~standard': { version: 1, vendor: 'test', validate: value => ({ value: value as T }) } }
}

export const TIME = { time: (e: { timestamp: number }) => e.timestamp, watermark: monotonous() }

/** The graph of the recommendation example, with functions that do nothing. */
export function recommendations(options: PipelineOptions = {}) {
  const app = pipeline('recommendations', options)
  const events = app.source('events', ndjson(anything<Event>()), TIME)
  const kept = events
    .keyBy('user_id')
    .dedup('event_id', { ttl: '1h' })
    .process({ onRecord: event => [event] })
    .name('bot filter')
  const trending = kept
    .keyBy('item_id')
    .window(sliding('5m', '1m'))
    .aggregate(count(), (views, { key, window }) => ({ item_id: key, views, window_end: window.end }))
    .parallelism(1)
    .keyBy('window_end')
    .topN(10, { by: ['-views', 'item_id'] })
    .parallelism(1)
  const users = kept
    .window(sliding('30m', '1m'))
    .aggregate(count(), (n, { key }) => ({ user_id: key, n }))
    .mapAsync(async user => ({ ...user, embedding: [1] }))
    .name('user tower')
  const ann = users.mapAsync(async user => ({ user_id: user.user_id, items: ['a'] })).name('ann')
  const popular = users.connect(trending.broadcast()).process({
    broadcast: { top: map<number, string>() },
    onRecord: (user, ctx) => [{ user_id: user.user_id, items: ctx.broadcast.top.values() }],
    onBroadcast(ranked, ctx) {
      ctx.broadcast.top.set(ranked.rank, ranked.value.item_id)
    },
  })
  ann
    .union(popular)
    .window(tumbling('2s'))
    .reduce((a, b) => ({ user_id: a.user_id, items: [...a.items, ...b.items] }))
    .joinWith(users, (candidates, user) => ({ ...candidates, embedding: user?.embedding }))
    .mapAsyncBatch(async batch => batch, { size: 256, wait: '20ms' })
    .sink('rankings', print())
  trending.sink('trending', print())
  return app
}
