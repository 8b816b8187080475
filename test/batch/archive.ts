import { count, fileSink, monotonous, ndjson, pipeline, session, sum, tumbling, value } from '../../runtime/index.ts'
import { Event, START, seeded } from '../engine/events.ts'

export const HOUR = 3_600_000

/** Windows, sessions, duplicates that are hours apart, timers, and a stage behind another. */
export function app() {
  const app = pipeline('visits')
  const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
  const unique = events.keyBy('user').dedup('id', { ttl: '3h' })
  unique
    .keyBy('item')
    .window(tumbling('25m'))
    .aggregate(count(), (n, { key, window }) => ({ item: key, until: window.end, n }))
    .keyBy('until')
    .topN(3, { by: (a, b) => b.n - a.n || (a.item < b.item ? -1 : 1) })
    .sink('top', fileSink('unused'))
  unique
    .keyBy('user')
    // Of no record the next one comes exactly when the gap is over: events are two seconds apart.
    .window(session('241s'))
    .aggregate(sum('amount'), (amount, { key, window }) => ({ user: key, amount, from: window.start, to: window.end }))
    .sink('sessions', fileSink('unused'))
  unique
    .keyBy('user')
    .process({
      state: { total: value<number>() },
      onRecord(e, ctx) {
        ctx.state.total.set((ctx.state.total.get() ?? 0) + e.amount)
        ctx.timers.event.set(Math.ceil(e.at / HOUR) * HOUR + 20 * 60_000)
      },
      onTimer: (at, ctx) => [{ user: ctx.key, at, total: ctx.state.total.get() }],
    })
    .sink('totals', fileSink('unused'))
  return app.graph()
}

export const SINKS = ['top', 'sessions', 'totals'] as const

/** Four hours of events, two seconds apart, no two of one time; some ids come again later. */
export function fourHours(): Event[] {
  const random = seeded(11)
  const pick = (n: number) => Math.floor(random() * n)
  return Array.from({ length: 7200 }, (_, i) => ({
    id: `e${pick(10) === 0 ? pick(i) : i}`,
    kind: 'view' as const,
    user: `u${pick(40)}`,
    item: `i${pick(15)}`,
    at: START + i * 2000 + 500,
    amount: pick(100),
  }))
}

export const linesOf = (events: readonly Event[]) => events.map(e => JSON.stringify(e))
