import * as z from 'zod'
import {
  boundedOutOfOrderness,
  count,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'

export const Entry = z.object({ user: z.string(), shop: z.string(), at: z.number(), amount: z.number() })
export type Entry = z.infer<typeof Entry>

/** Source → running totals by user → sink: each record in gives one out, so that what is lost or doubled shows at once. */
export function totals(): Pipeline {
  const app = pipeline('totals')
  app
    .source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') })
    .keyBy('user')
    .process({
      state: { total: value<number>() },
      onRecord(e, ctx) {
        const total = (ctx.state.total.get() ?? 0) + e.amount
        ctx.state.total.set(total)
        return [{ user: e.user, total }]
      },
    })
    .sink('out', print())
  return app
}

/** Three stages with a map, timers and windows; what comes out does not depend on how its subtasks' input interleaves. */
export function statements(): Pipeline {
  const app = pipeline('statements')
  app
    .source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') })
    .keyBy('user')
    .process({
      state: { shops: map<string, number>(), due: value<number>() },
      onRecord(e, ctx) {
        ctx.state.shops.set(e.shop, (ctx.state.shops.get(e.shop) ?? 0) + e.amount)
        if (ctx.state.due.get() !== undefined) return
        const due = Math.ceil((e.at + 1) / 5000) * 5000
        ctx.state.due.set(due)
        ctx.timers.event.set(due)
      },
      onTimer(at, ctx) {
        const rows = ctx.state.shops.entries().map(([shop, amount]) => ({ user: ctx.key, shop, amount, at }))
        ctx.state.due.clear()
        ctx.state.shops.clear()
        return rows
      },
    })
    .keyBy('shop')
    .window(tumbling('10s'))
    .aggregate(count(), (n, { key, window }) => ({ shop: key, n, start: window.start }))
    .sink('out', print())
  return app
}

/** Three stages, the second with broadcast state: each entry is also a price for all, so that what comes out depends on every copy of them. */
export function prices(): Pipeline {
  const app = pipeline('prices')
  const all = app.source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') })
  all
    .keyBy('user')
    .connect(all.broadcast())
    .process({
      broadcast: { prices: map<string, number>() },
      onRecord: (e, ctx) => [{ ...e, price: [...ctx.broadcast.prices.entries()].reduce((sum, [, price]) => sum + price, 0) }],
      onBroadcast(e, ctx) {
        if (e.amount % 7 === 0) ctx.broadcast.prices.delete(e.user)
        else ctx.broadcast.prices.set(e.user, e.amount)
      },
    })
    .keyBy('shop')
    .window(tumbling('10s'))
    .aggregate(sum('price'), (price, { key, window }) => ({ shop: key, price, start: window.start }))
    .sink('out', print())
  return app
}

/** Like `statements`, and several sources may interleave as they like: only event time decides what belongs together. */
export function balances(): Pipeline {
  const app = pipeline('balances')
  app
    .source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') })
    .keyBy('user')
    .process({
      state: { sums: map<number, number>() },
      onRecord(e, ctx) {
        const due = Math.ceil((e.at + 1) / 3000) * 3000
        ctx.state.sums.set(due, (ctx.state.sums.get(due) ?? 0) + e.amount)
        ctx.timers.event.set(due)
      },
      onTimer(at, ctx) {
        const amount = ctx.state.sums.get(at)!
        ctx.state.sums.delete(at)
        return [{ group: ctx.key.length + (amount % 2), user: ctx.key, amount }]
      },
    })
    .keyBy('group')
    .window(tumbling('3s'))
    .aggregate(sum('amount'), (amount, { key, window }) => ({ group: key, amount, start: window.start }))
    .sink('out', print())
  return app
}

export function entries(n: number): Entry[] {
  return Array.from({ length: n }, (_, i) => ({
    user: `u${(i * 7) % 5}`,
    shop: `s${(i * 5) % 3}`,
    at: 1_000_000 + i * 700,
    amount: i + 1,
  }))
}

/** What `totals` gives. */
export function totalsOf(list: readonly Entry[]): { user: string; total: number }[] {
  const sums = new Map<string, number>()
  return list.map(e => {
    const total = (sums.get(e.user) ?? 0) + e.amount
    sums.set(e.user, total)
    return { user: e.user, total }
  })
}
