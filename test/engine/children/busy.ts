import {
  boundedOutOfOrderness,
  count,
  list,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  sideOutput,
  sliding,
  sum,
  tumbling,
  value,
} from '../../../runtime/index.ts'
import { Event } from '../events.ts'

/** Dedup, windows with late data, an interval join, timers, a list and a map, async calls, over several stages. */
export function busy(): Pipeline {
  const app = pipeline('busy')
  const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('2s') })
  const unique = events.keyBy('user').dedup('id', { ttl: '1h' })

  const late = sideOutput<Event>('late')
  const counts = events
    .keyBy('item')
    .window(sliding('20s', '5s'))
    .lateTo(late)
    .aggregate(count(), (n, { key, window }) => ({ item: key, n, end: window.end }))
  counts.sideOutput(late).sink('late', print())
  counts
    .mapAsync(async row => ({ ...row, checked: true }), { capacity: 8 })
    .keyBy('end')
    .topN(5, { by: (a, b) => b.n - a.n || (a.item < b.item ? -1 : 1) })
    .sink('top', print())

  unique
    .process({
      state: { ids: list<string>(), items: map<string, number>(), due: value<number>() },
      onRecord(e, ctx) {
        ctx.state.ids.add(e.id)
        ctx.state.items.set(e.item, (ctx.state.items.get(e.item) ?? 0) + e.amount)
        if (ctx.state.due.get() !== undefined) return
        ctx.state.due.set(e.at + 9000)
        ctx.timers.event.set(e.at + 9000)
      },
      onTimer(at, ctx) {
        const row = { at, user: ctx.key, ids: ctx.state.ids.get().sort(), items: ctx.state.items.entries() }
        ctx.state.ids.clear()
        ctx.state.due.clear()
        for (const [item, total] of row.items) if (total > 2000) ctx.state.items.delete(item)
        return [row]
      },
    })
    .sink('activity', print())

  unique
    .filter(e => e.kind === 'view' && e.amount > 300)
    .intervalJoin(unique.filter(e => e.kind === 'buy'))
    .between('-4s', '4s')
    .apply((l, r) => ({ item: l.item, at: Math.max(l.at, r.at), amount: r.amount }))
    .keyBy('item')
    .window(tumbling('10s'))
    .aggregate(sum('amount'), (total, { key, window }) => ({ item: key, total, start: window.start }))
    .sink('joined', print())
  return app
}
