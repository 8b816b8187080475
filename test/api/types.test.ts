import { test } from 'node:test'
import { z } from 'zod'
import type { KeyedStream } from '../../runtime/api/keyed-stream.ts'
import type { Stream } from '../../runtime/api/stream.ts'
import {
  type AsyncFailure,
  aggregate,
  aggregating,
  all,
  avg,
  boundedOutOfOrderness,
  type Change,
  type Changelog,
  count,
  countDistinct,
  customSink,
  type DeadLetter,
  type ListState,
  list,
  type MapState,
  type Match,
  map,
  max,
  ndjson,
  pipeline,
  print,
  type Ranked,
  type ReducingState,
  redis,
  reducing,
  sideOutput,
  sliding,
  sum,
  tumbling,
  type ValueState,
  value,
} from '../../runtime/index.ts'
import { expectKey, expectType, expectValues } from './expect-type.ts'

/*
 * tsc is the test here: what is inferred, and, by @ts-expect-error, what must not compile. The functions below are never called; that
 * the right pipelines build is checked in the other tests.
 */

const Event = z.object({
  user_id: z.string(),
  item_id: z.string(),
  event_type: z.enum(['click', 'view']),
  amount: z.number(),
  timestamp: z.number(),
  event_id: z.string().optional(),
})
type Event = z.infer<typeof Event>
type Click = Event & { event_type: 'click' }
const Item = z.object({ id: z.number(), title: z.string(), at: z.number() })

const time = { time: (e: { timestamp: number }) => e.timestamp, watermark: boundedOutOfOrderness('10s') } as const

function build() {
  const app = pipeline('types')
  const events = app.source('events', ndjson(Event), { time: e => e.timestamp, watermark: boundedOutOfOrderness('10s') })
  const items = app.source('items', ndjson(Item), { time: i => i.at, watermark: boundedOutOfOrderness('10s') })
  return { app, events, items }
}

export function sources() {
  const { app, events } = build()
  expectValues<Event>()(events)
  expectValues<DeadLetter>()(events.deadLetters())
  // @ts-expect-error events have no field `when`
  app.source('a', ndjson(Event), { time: e => e.when, watermark: boundedOutOfOrderness('10s') })
  // @ts-expect-error the time of an event is a number of ms, not text
  app.source('b', ndjson(Event), { time: e => e.user_id, watermark: boundedOutOfOrderness('10s') })
  // @ts-expect-error a source needs a watermark strategy
  app.source('c', ndjson(Event), { time: e => e.timestamp })
  // @ts-expect-error '10 parsecs' is no duration
  boundedOutOfOrderness('10 parsecs')
  // @ts-expect-error a schema is needed, not a type's name
  ndjson('Event')
  app.source('d', { schema: Event }, time)
}

export function stateless() {
  const { events, items } = build()
  expectType<Stream<string>>()(events.map(e => e.user_id))
  expectValues<Click>()(events.filter((e): e is Click => e.event_type === 'click'))
  expectValues<number>()(events.flatMap(e => [e.amount, e.timestamp]))
  expectValues<Pick<Event, 'user_id' | 'amount'>>()(events.select('user_id', 'amount'))
  expectValues<Event | z.infer<typeof Item>>()(events.union(items))
  expectValues<number>()(events.mapAsync(async e => e.amount))
  expectValues<number>()(events.mapAsyncBatch(async batch => batch.map(e => e.amount), { size: 10, wait: '5ms' }))
  // @ts-expect-error events have no field `price`
  events.map(e => e.price)
  // @ts-expect-error events have no field `price`
  events.select('user_id', 'price')
  // @ts-expect-error a predicate answers true or false
  events.filter(e => e.user_id)
  // @ts-expect-error flatMap gives several values
  events.flatMap(e => e.amount)
  // @ts-expect-error mapAsync takes a function that gives a promise
  events.mapAsync(e => e.amount)
  // @ts-expect-error what replaces a failed result has its type
  events.mapAsync(async e => e.amount, { onFailure: () => 'none' })
  // @ts-expect-error '2 sec' is no duration
  events.mapAsync(async e => e.amount, { timeout: '2 sec' })
}

export function sideOutputs() {
  const { events } = build()
  const alerts = sideOutput<{ user: string }>('alerts')
  const checked = events.process((e, ctx) => {
    ctx.output(alerts, { user: e.user_id })
    // @ts-expect-error alerts have no field `users`
    ctx.output(alerts, { users: e.user_id })
    // @ts-expect-error a stream without a key has no state
    ctx.state
    return [e.amount]
  })
  expectValues<number>()(checked)
  expectValues<{ user: string }>()(checked.sideOutput(alerts))
  const failed = sideOutput<AsyncFailure<Event>>('failed')
  expectValues<AsyncFailure<Event>>()(
    events.mapAsync(async e => e.amount, { onFailure: { sideOutput: failed } }).sideOutput(failed),
  )
  // @ts-expect-error a failure of an event is not one of a number
  events.mapAsync(async e => e.amount, { onFailure: { sideOutput: sideOutput<AsyncFailure<number>>('failed') } })
}

export function keys() {
  const { events, items } = build()
  expectType<KeyedStream<Event, string>>()(events.keyBy('user_id'))
  expectKey<number>()(items.keyBy('id'))
  expectKey<readonly [string, number]>()(events.keyBy(['user_id', 'timestamp']))
  expectKey<readonly [string, number]>()(events.keyBy(e => [e.user_id, e.timestamp]))
  expectKey<string>()(events.keyBy(e => e.user_id))
  const keyed = events.keyBy('user_id')
  expectType<KeyedStream<number, string>>()(keyed.map(e => e.amount))
  expectType<KeyedStream<Event, string>>()(keyed.filter(e => e.amount > 0))
  expectType<KeyedStream<number, string>>()(keyed.mapAsync(async e => e.amount))
  expectType<KeyedStream<Event | number, string>>()(keyed.union(keyed.map(e => e.amount)))
  expectType<Stream<Event>>()(keyed.union(events))
  expectType<KeyedStream<Event, string>>()(keyed.dedup('event_id', { ttl: '1h' }))
  expectType<KeyedStream<Event, string>>()(keyed.reduce((a, _b) => a))
  expectType<KeyedStream<Ranked<Event>, string>>()(keyed.topN(3, { by: ['-amount', 'item_id'] }))
  expectType<Changelog<Ranked<Event>>>()(keyed.runningTopN(3, { by: ['-amount'] }))
  expectType<Changelog<Event>>()(keyed.latest())
  expectType<Changelog<{ n: number; distinct: number }>>()(
    keyed.aggregate(all({ n: count(), distinct: countDistinct('item_id') })),
  )
  expectType<Changelog<{ user: string; n: number }>>()(keyed.aggregate(count(), (n, { key }) => ({ user: key, n })))
  const spent = keyed.latest().map(e => ({ item: e.item_id, amount: e.amount }))
  expectType<Changelog<string>>()(spent.keyBy('item').aggregate(sum('amount'), (total, { key }) => `${key} ${total}`))
  expectType<Stream<Change<{ item: string; amount: number }>>>()(spent.changes())
  expectType<KeyedStream<number, string>>()(keyed.join(events.keyBy('item_id')).apply((a, b) => a.amount + b.amount))
  const paid = keyed.match(begin =>
    begin('order')
      .where(e => e.amount > 0)
      .notNext('none')
      .followedBy('payment')
      .oneOrMore(),
  )
  expectType<KeyedStream<Match<Event, 'order' | 'payment'>, string>>()(paid)
  // @ts-expect-error a match has no events of what may not come
  paid.map(({ none }) => none)
  const seen = (_: Event, { c }: { c: readonly Event[] }) => c.length > 0
  // @ts-expect-error no step before it has this name
  keyed.match(begin => begin('a').next('b').where(seen))
  // @ts-expect-error rows have no field `price`
  spent.keyBy('item').aggregate(sum('price'))
  // @ts-expect-error a co-group needs windows
  keyed.coGroup(events.keyBy('item_id')).apply((a: readonly Event[]) => a)
  // @ts-expect-error events have no field `userid`
  events.keyBy('userid')
  // @ts-expect-error event_id may be missing: undefined is no key
  events.keyBy('event_id')
  // @ts-expect-error an object is no key
  events.keyBy(e => ({ user: e.user_id }))
  // @ts-expect-error a promise is no key
  events.keyBy(async e => e.user_id)
  // @ts-expect-error reduce needs a key
  events.reduce((a: Event) => a)
  // @ts-expect-error dedup needs a ttl
  keyed.dedup('event_id')
  // @ts-expect-error events have no field `views`
  keyed.topN(3, { by: ['-views'] })
}

export function keyedState() {
  const { events } = build()
  const keyed = events.keyBy('user_id')
  const result = keyed.process({
    state: {
      last: value<number>({ ttl: '1h' }),
      clicks: list<Event>(),
      counts: map<string, number>({ ttl: { after: '1 day', time: 'processing' }, load: 'all' }),
      total: reducing<number>((a, b) => a + b),
      mean: aggregating(avg('amount')),
    },
    onRecord(event, ctx) {
      expectType<string>()(ctx.key)
      expectType<ValueState<number>>()(ctx.state.last)
      expectType<ListState<Event>>()(ctx.state.clicks)
      expectType<MapState<string, number>>()(ctx.state.counts)
      expectType<ReducingState<number>>()(ctx.state.total)
      expectType<number | undefined>()(ctx.state.mean.get())
      // @ts-expect-error `last` holds numbers
      ctx.state.last.set('now')
      // @ts-expect-error `counts` is keyed by strings
      ctx.state.counts.get(1)
      // @ts-expect-error no such state
      ctx.state.first
      // @ts-expect-error the mean is of amounts
      ctx.state.mean.add({ price: 1 })
      ctx.timers.event.set(event.timestamp + 1)
      return [{ user: ctx.key, amount: event.amount }]
    },
    onTimer: (_at, ctx) => [{ user: ctx.key, amount: 0 }],
  })
  expectType<KeyedStream<{ user: string; amount: number }, string>>()(result)
  const generated = keyed.process({
    *onRecord(event) {
      yield event.amount
    },
  })
  expectType<KeyedStream<number, string>>()(generated)
  // @ts-expect-error a ttl is a duration
  value<number>({ ttl: 'soon' })
}

export function windows() {
  const { events } = build()
  const windowed = events.keyBy('user_id').window(sliding('30m', '1m'))
  expectType<KeyedStream<number, string>>()(windowed.aggregate(count()))
  expectType<KeyedStream<number, string>>()(windowed.aggregate(sum('amount')))
  expectType<KeyedStream<{ n: number; top: number }, string>>()(windowed.aggregate(all({ n: count(), top: max('amount') })))
  const counted = windowed.aggregate(count(), (n, { key, window }) => ({ key, n, end: window.end }))
  expectType<KeyedStream<{ key: string; n: number; end: number }, string>>()(counted)
  expectType<KeyedStream<Event, string>>()(windowed.reduce((a, _b) => a))
  expectType<KeyedStream<number, string>>()(
    windowed.process((records, { currentWatermark }) => [records.length + currentWatermark]),
  )
  expectType<KeyedStream<string, string>>()(windowed.process((records, { key }) => records.map(r => r.item_id + key)))
  expectType<Stream<number>>()(events.windowAll(tumbling('1m')).aggregate(count()))
  const late = sideOutput<Event>('late')
  expectValues<Event>()(windowed.lateTo(late).aggregate(count()).sideOutput(late))
  // @ts-expect-error events have no field `price`
  windowed.aggregate(sum('price'))
  // @ts-expect-error item_id is no number
  windowed.aggregate(sum('item_id'))
  // @ts-expect-error events have no field `price`
  windowed.aggregate(all({ n: count(), p: sum('price') }))
  // @ts-expect-error late records are events
  windowed.lateTo(sideOutput<number>('late'))
  // @ts-expect-error a window needs a key; windowAll does not
  events.window(tumbling('1m'))
  // @ts-expect-error '1 fortnight' is no duration
  tumbling('1 fortnight')
  const longest = aggregate({
    createAccumulator: () => '',
    add: (best, e: Event) => (e.item_id.length > best.length ? e.item_id : best),
    getResult: best => best.length,
  })
  expectType<KeyedStream<number, string>>()(windowed.aggregate(longest))
}

export function joins() {
  const { events, items } = build()
  const byUser = events.keyBy('user_id')
  const byItem = items.keyBy('id')
  const titles = items.keyBy('title')
  type Item = z.infer<typeof Item>
  const joined = byUser.joinWith(titles, (event, item) => {
    expectType<Item | undefined>()(item)
    return { ...event, item }
  })
  expectKey<string>()(joined)
  expectType<KeyedStream<number, string>>()(
    byUser
      .intervalJoin(titles)
      .between('-5m', '10m')
      .apply((e, i) => e.amount + i.id),
  )
  expectType<KeyedStream<number, string>>()(
    byUser
      .join(titles)
      .window(tumbling('1m'))
      .apply((e, i) => e.amount + i.id),
  )
  expectType<KeyedStream<number, string>>()(
    byUser
      .coGroup(titles)
      .window(tumbling('1m'))
      .apply((es, is, { key }) => [es.length + is.length + key.length]),
  )
  expectType<KeyedStream<number | string, string>>()(
    byUser.connect(titles).process({ onFirst: e => [e.amount], onSecond: i => [i.title] }),
  )
  const connected = byUser.connect(titles).process({
    state: { last: value<Event>() },
    onFirst(event, ctx) {
      ctx.state.last.set(event)
    },
    onSecond: (item, ctx) => [{ item: item.title, amount: ctx.state.last.get()?.amount }],
  })
  expectKey<string>()(connected)
  const ruled = byUser.connect(items.broadcast()).process({
    state: { seen: value<number>() },
    broadcast: { items: map<number, Item>() },
    onRecord(event, ctx) {
      ctx.state.seen.set(1)
      // @ts-expect-error keyed functions only read broadcast state
      ctx.broadcast.items.set(1, event)
      return ctx.broadcast.items.values().map(i => i.title)
    },
    onBroadcast(item, ctx) {
      ctx.broadcast.items.set(item.id, item)
      // @ts-expect-error a broadcast record has no key
      ctx.key
      // @ts-expect-error nor keyed state
      ctx.state.seen
    },
  })
  expectType<KeyedStream<string, string>>()(ruled)
  expectValues<string>()(events.connect(items).process({ onFirst: e => [e.user_id], onSecond: i => [i.title] }))
  // @ts-expect-error users are strings, items are numbers
  byUser.joinWith(byItem, e => e)
  // @ts-expect-error unlike keys
  byUser.connect(byItem)
  // @ts-expect-error unlike keys
  byUser.join(byItem)
  // @ts-expect-error unlike keys
  byUser.coGroup(byItem)
  // @ts-expect-error unlike keys
  byUser.intervalJoin(byItem)
  // @ts-expect-error a tuple is unlike its part
  byUser.join(items.keyBy(['title', 'id']))
  // @ts-expect-error the other stream has no key
  byUser.joinWith(items, e => e)
}

export function sinks() {
  const { events } = build()
  events.sink('print', print())
  events.sink('redis', redis({ key: e => e.user_id }))
  events.sink('own', customSink<{ user_id: string }>({ name: 'own', open: () => ({ write() {} }) }))
  // @ts-expect-error a sink of numbers takes no events
  events.sink('wrong', customSink<number>({ name: 'numbers', open: () => ({ write() {} }) }))
  // @ts-expect-error events lack a field that this sink needs
  events.sink('more', customSink<Event & { rank: number }>({ name: 'ranks', open: () => ({ write() {} }) }))
  // @ts-expect-error events have no field `user`
  events.sink('key', redis({ key: e => e.user }))
}

test('types are checked by tsc', () => {
  build()
})
