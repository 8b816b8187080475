import {
  boundedOutOfOrderness,
  count,
  list,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  type Stream,
  session,
  sideOutput,
  sliding,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { Event } from './events.ts'

/** Above all disorder of the generated events: nothing is late. */
const PATIENT = boundedOutOfOrderness('60s')
const STRICT = boundedOutOfOrderness('2s')

function source(name: string, watermark = PATIENT): { app: Pipeline; events: Stream<Event> } {
  const app = pipeline(name)
  return { app, events: app.source('events', ndjson(Event), { time: e => e.at, watermark }) }
}

const views = (events: Stream<Event>) => events.filter(e => e.kind === 'view')
const buys = (events: Stream<Event>) => events.filter(e => e.kind === 'buy')

/**
 * Pipelines whose results do not depend on how input from different subtasks interleaves. Lateness does where stateless stages of several subtasks lie
 * before a window, so the pipelines with late data have their window right behind the source.
 */
export const pipelines: Record<string, () => Pipeline> = {
  stateless() {
    const { app, events } = source('stateless')
    events
      .filter(e => e.amount > 200)
      .map(e => ({ ...e, tag: `${e.user}/${e.item}` }))
      .flatMap(e => (e.kind === 'buy' ? [e, { ...e, tag: 'again' }] : [e]))
      .union(events.filter(e => e.amount < 10).map(e => ({ ...e, tag: 'cheap' })))
      .sink('out', print())
    return app
  },

  'window-late'() {
    const { app, events } = source('window-late', STRICT)
    const late = sideOutput<Event>('late')
    const counts = events
      .keyBy('item')
      .window(sliding('10s', '5s'))
      .lateTo(late)
      .aggregate(count(), (n, { key, window }) => ({ item: key, n, start: window.start }))
    counts.sink('out', print())
    counts.sideOutput(late).sink('side', print())
    return app
  },

  'window-lateness'() {
    const { app, events } = source('window-lateness', STRICT)
    const late = sideOutput<Event>('late')
    const sums = events
      .keyBy('user')
      .window(tumbling('10s'))
      .allowedLateness('10s')
      .lateTo(late)
      .process((records, { key, window }) => [
        { user: key, start: window.start, ids: records.map(r => r.id), total: records.reduce((n, r) => n + r.amount, 0) },
      ])
    sums.sink('out', print())
    sums.sideOutput(late).sink('side', print())
    return app
  },

  'interval-join'() {
    const { app, events } = source('interval-join')
    views(events)
      .keyBy('user')
      .intervalJoin(buys(events).keyBy('user'))
      .between('-3s', '5s')
      .apply((l, r) => ({ l: l.id, r: r.id, at: [l.at, r.at] }))
      .sink('out', print())
    return app
  },

  'window-join'() {
    const { app, events } = source('window-join')
    views(events)
      .keyBy('item')
      .join(buys(events).keyBy('item'))
      .window(tumbling('20s'))
      .apply((l, r, { key, window }) => ({ key, l: l.id, r: r.id, start: window.start }))
      .sink('out', print())
    return app
  },

  'co-group'() {
    const { app, events } = source('co-group')
    views(events)
      .keyBy(['user', 'item'])
      .coGroup(buys(events).keyBy(['user', 'item']))
      .window(tumbling('30s'))
      .apply((ls, rs, { key, window }) => [
        { key, l: ls.map(e => e.id).sort(), r: rs.map(e => e.id).sort(), start: window.start },
      ])
      .sink('out', print())
    return app
  },

  process() {
    const { app, events } = source('process', STRICT)
    const spent = sideOutput<{ user: string; total: number; n: number }>('spent')
    const out = events.keyBy('user').process({
      state: { total: value<number>(), ids: list<string>(), items: map<string, number>(), due: value<number>() },
      onRecord(e, ctx) {
        ctx.state.total.set((ctx.state.total.get() ?? 0) + e.amount)
        ctx.state.ids.add(e.id)
        ctx.state.items.set(e.item, (ctx.state.items.get(e.item) ?? 0) + 1)
        if (ctx.state.due.get() === undefined) {
          const at = e.at + 7_000
          ctx.state.due.set(at)
          ctx.timers.event.set(at)
        }
        if (e.amount > 900) ctx.output(spent, { user: e.user, total: ctx.state.total.get()!, n: ctx.state.items.get(e.item)! })
      },
      onTimer(at, ctx) {
        const items = [...ctx.state.items.entries()].map(([k, n]) => `${k}:${n}`).sort()
        const row = { at, user: ctx.key, total: ctx.state.total.get()!, ids: [...ctx.state.ids.get()], items }
        ctx.state.ids.clear()
        ctx.state.due.clear()
        for (const [item, n] of [...ctx.state.items.entries()]) if (n > 4) ctx.state.items.delete(item)
        return [row]
      },
    })
    out.sink('out', print())
    out.sideOutput(spent).sink('side', print())
    return app
  },

  'dedup-sum'() {
    const { app, events } = source('dedup-sum')
    events
      .keyBy('user')
      .dedup('id', { ttl: '1h' })
      .keyBy('item')
      .window(tumbling('10s'))
      .aggregate(sum('amount'), (total, { key, window }) => ({ item: key, total, start: window.start }))
      .sink('out', print())
    return app
  },

  'top-n'() {
    const { app, events } = source('top-n')
    events
      .keyBy('item')
      .window(sliding('20s', '10s'))
      .aggregate(count(), (n, { key, window }) => ({ item: key, n, end: window.end }))
      .keyBy('end')
      .topN(3, { by: (a, b) => b.n - a.n || (a.item < b.item ? -1 : 1) })
      .sink('out', print())
    return app
  },

  'join-with'() {
    const { app, events } = source('join-with')
    const latest = buys(events)
      .keyBy('user')
      .window(tumbling('5s'))
      .aggregate(sum('amount'), (total, { key, window }) => ({ user: key, total, end: window.end }))
    views(events)
      .keyBy('user')
      .joinWith(latest.keyBy('user'), (view, spent) => ({ id: view.id, at: view.at, spent: spent?.total ?? null }))
      .sink('out', print())
    return app
  },

  broadcast() {
    const { app, events } = source('broadcast')
    const rules = events.filter(e => e.kind === 'rule').map(e => ({ item: e.item, at: e.at, limit: e.amount, id: e.id }))
    views(events)
      .keyBy('user')
      .connect(rules.broadcast())
      .process({
        state: { seen: map<number, Event[]>() },
        broadcast: { rules: map<string, { at: number; limit: number }[]>() },
        onBroadcast(rule, ctx) {
          const list = ctx.broadcast.rules.get(rule.item) ?? []
          ctx.broadcast.rules.set(rule.item, [...list, { at: rule.at, limit: rule.limit }])
        },
        onRecord(e, ctx) {
          const due = Math.ceil((e.at + 1) / 10_000) * 10_000
          ctx.state.seen.set(due, [...(ctx.state.seen.get(due) ?? []), e])
          ctx.timers.event.set(due)
        },
        onTimer(at, ctx) {
          const seen = ctx.state.seen.get(at) ?? []
          ctx.state.seen.delete(at)
          return seen.flatMap(e => {
            const hit = (ctx.broadcast.rules.get(e.item) ?? []).filter(r => r.at <= at && r.limit < e.amount)
            return hit.length === 0 ? [] : [{ id: e.id, user: ctx.key, at, hit: hit.map(h => h.limit).sort() }]
          })
        },
      })
      .sink('out', print())
    return app
  },

  session() {
    const { app, events } = source('session', STRICT)
    events
      .keyBy('user')
      .window(session('1s'))
      .process((records, { key, window }) => [{ user: key, ids: records.map(r => r.id), start: window.start, end: window.end }])
      .sink('out', print())
    return app
  },

  async() {
    const { app, events } = source('async')
    events
      .mapAsync(
        async e => {
          if (e.amount % 50 === 0) await new Promise(r => setTimeout(r, 1))
          return { ...e, double: e.amount * 2 }
        },
        { capacity: 16 },
      )
      .keyBy('user')
      .mapAsync(async e => ({ ...e, more: e.double + 1 }), { capacity: 3 })
      .keyBy('item')
      .window(tumbling('10s'))
      .aggregate(sum('more'), (total, { key, window }) => ({ item: key, total, start: window.start }))
      .mapAsyncBatch(async rows => rows.map(r => ({ ...r, batched: true })), { size: 7, wait: '1ms' })
      .sink('out', print())
    return app
  },

  'processing-time'() {
    const { app, events } = source('processing-time')
    events
      .keyBy('user')
      .window(tumbling('3650d', { time: 'processing' }))
      .aggregate(sum('amount'), (total, { key }) => ({ user: key, total }))
      .sink('out', print())
    return app
  },
}
