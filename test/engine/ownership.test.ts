import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { runBounded } from '../../runtime/batch/run.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import {
  aggregating,
  boundedOutOfOrderness,
  customSink,
  list,
  map,
  ndjson,
  pipeline,
  print,
  reducing,
  type Stream,
  sideOutput,
  sliding,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { Event, generate, scratch, sortedLines, writeEvents } from './events.ts'

/*
 * Functions that change what they are given, in place, as people write them. Whoever else has the same object (a sibling branch, an operator's state, a sink that buffers)
 * may not notice, whether the two are chained or run on different machines.
 */

interface Box {
  amount: number
  inner: { seen: string[] }
}

/** Changes its argument, deep inside too, or makes a changed copy of it. */
type Spoil = <T extends Box>(record: T) => T
const inPlace: Spoil = record => {
  record.amount += 1_000_000
  record.inner.seen.push('spoiled')
  return record
}
const pure: Spoil = record => ({
  ...record,
  amount: record.amount + 1_000_000,
  inner: { seen: [...record.inner.seen, 'spoiled'] },
})

type Boxed = Event & Box
type Case = (events: Stream<Boxed>, spoil: Spoil) => any

/** The only one with late records, whose lateness depends on how stages interleave where there are joins. */
const AGAIN = 'records of a window that fires again'

const late = sideOutput<Boxed>('late')
const tagged = sideOutput<Boxed>('tagged')

const cases: Record<string, Case> = {
  'sibling branches': (events, spoil) =>
    events
      .map(spoil)
      .union(events.map(e => e))
      .union(events.map(spoil)),

  'what filters let through, for several branches': (events, spoil) => {
    const views = events.filter(e => e.kind === 'view')
    const kept = views.filter(e => e.amount > 0)
    return kept
      .map(spoil)
      .union(views.map(spoil), events.filter(e => e.kind === 'buy').map(spoil))
      .union(views, kept)
  },

  'what a filter lets through to state, and to a sibling': (events, spoil) =>
    events
      .keyBy('user')
      .filter(e => e.kind === 'view')
      .process({
        state: { last: value<Boxed>() },
        onRecord(e, { state }) {
          const last = state.last.get()
          state.last.set(spoil(e))
          return last === undefined ? [] : [last]
        },
      })
      .union(events.keyBy('user').filter(e => e.kind === 'buy')),

  'what an aggregate keeps that a backfill adds up before it travels': (events, spoil) =>
    events
      .filter(e => e.kind === 'view')
      .keyBy('user')
      .window(tumbling('10s'))
      .aggregate({
        exact: true,
        createAccumulator: (): Boxed[] => [],
        add: (all, e) => [...all, spoil(e)],
        merge: (a, b) => [...a, ...b],
        getResult: all => all.map(({ id, amount }) => `${id} ${amount}`).sort(),
      })
      .map(ids => ({ ids, amount: 0, inner: { seen: [] } }))
      .union(events.map(spoil)),

  'what fields that are selected hold': (events, spoil) =>
    events
      .select('id', 'user', 'kind', 'item', 'at', 'amount', 'inner')
      .map(spoil)
      .union(events.select('id', 'user', 'kind', 'item', 'at', 'amount', 'inner').map(spoil), events),

  'what a running reduce has emitted': (events, spoil) =>
    events
      .keyBy('user')
      .reduce((a, b) => ({ ...b, amount: a.amount + b.amount, inner: { seen: [b.id] } }))
      .map(spoil),

  'an accumulator that reduce changes in panes': (events, spoil) =>
    events
      .keyBy('user')
      .window(sliding('10s', '1s'))
      .reduce((a, b) => sumInto(spoil === inPlace ? a : structuredClone(a), b)),

  [AGAIN]: (events, spoil) =>
    events
      .keyBy('user')
      .window(tumbling('10s'))
      .allowedLateness('30s')
      .lateTo(late)
      .process(records => records.map(r => spoil(r))),

  'both sides of an interval join': (events, spoil) =>
    events
      .filter(e => e.kind === 'view')
      .keyBy('user')
      .intervalJoin(events.filter(e => e.kind === 'buy').keyBy('user'))
      .between('-5s', '5s')
      .apply((view, buy) => ({ ...spoil(view), buy: spoil(buy) })),

  'the latest value of joinWith': (events, spoil) =>
    events
      .filter(e => e.kind === 'view')
      .keyBy('user')
      .joinWith(events.filter(e => e.kind === 'buy').keyBy('user'), (view, buy) => ({ ...view, buy: buy && spoil(buy) })),

  'what a process function has emitted, to several outputs': (events, spoil) => {
    const processed = events.keyBy('user').process({
      state: { last: value<Boxed>() },
      onRecord(e, ctx) {
        const last = ctx.state.last.get()
        ctx.state.last.set(e)
        ctx.output(tagged, e)
        return last === undefined ? [e] : [last, e]
      },
    })
    return processed.map(spoil).union(processed.sideOutput(tagged).map(spoil), processed)
  },

  'an object that flatMap gives twice': (events, spoil) => events.flatMap(e => [e, e]).map(spoil),
}

function sumInto(a: Boxed, b: Boxed): Boxed {
  a.amount += b.amount
  return a
}

function build(name: string, spoil: Spoil) {
  const app = pipeline('ownership')
  const events = app
    .source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness(name === AGAIN ? '2s' : '60s') })
    .map((e): Boxed => ({ ...e, inner: { seen: [] } }))
  const out = cases[name]!(events, spoil)
  out.sink('out', print())
  // A branch behind it all, and one beside it.
  out.map((r: Boxed) => spoil({ ...r, amount: 0, inner: { seen: [] } }))
  return app.graph()
}

const ways: Record<string, RunOptions> = {
  chained: {},
  unchained: { chaining: false },
  'parallelism 3': { parallelism: 3 },
  cold: { stateMemory: 1, checkpointMs: 1, batchSize: 7 },
}

for (const name of Object.keys(cases)) {
  test(`a function that changes its argument is alone with it: ${name}`, async t => {
    const dir = scratch(t)
    const input = writeEvents(join(dir, 'events.ndjson'), generate(300, 21))
    const run = async (spoil: Spoil, out: string, options: RunOptions) => {
      const path = join(dir, out)
      const state = options.stateMemory === undefined ? {} : { state: join(dir, `${out}-state`) }
      const sinks = { out: fileSink(path) }
      await runEmbedded(build(name, spoil), { sources: { events: fileSource([input]) }, sinks, ...state, ...options })
      return sortedLines(path)
    }
    const expected = await run(pure, 'pure', {})
    assert.ok(expected.length > 20)
    for (const [way, options] of Object.entries(ways)) assert.deepEqual(await run(inPlace, way, options), expected, way)
    if (name === AGAIN) return
    const path = join(dir, 'bounded')
    const bindings = { sources: { events: [input] }, sinks: { out: fileSink(path) } }
    const bounded = async (spoil: Spoil) => {
      await runBounded(build(name, spoil), bindings)
      return sortedLines(path)
    }
    assert.deepEqual(await bounded(inPlace), await bounded(pure), 'bounded')
  })
}

test('what is changed in a state and not written is not there the next time, whether the key stayed in memory or not', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(200, 5))
  const graph = () => {
    const app = pipeline('unwritten')
    app
      .source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('60s') })
      .keyBy('user')
      .process({
        state: {
          one: value<{ n: number }>(),
          many: map<string, { n: number }>(),
          row: list<{ n: number }>(),
          sum: reducing<{ n: number }>((a, b) => ({ n: a.n + b.n })),
          agg: aggregating<number, number[], number[]>({
            createAccumulator: () => [],
            add: (all, n) => [...all, n],
            merge: (a, b) => [...a, ...b],
            getResult: all => all,
          }),
        },
        onRecord(e, { state }) {
          if (state.one.get() === undefined) {
            state.one.set({ n: 0 })
            state.many.set('a', { n: 0 })
            state.row.add({ n: 0 })
          }
          state.sum.add({ n: 1 })
          state.agg.add(1)
          state.one.get()!.n++
          state.many.get('a')!.n++
          state.many.values()[0]!.n++
          state.many.entries()[0]![1].n++
          state.row.get()[0]!.n++
          state.sum.get()!.n += 100
          state.agg.get()!.push(7)
          const [one, many, row] = [state.one.get()!.n, state.many.get('a')!.n, state.row.get()[0]!.n]
          return [{ id: e.id, user: e.user, one, many, row, sum: state.sum.get()!.n, agg: state.agg.get()!.length }]
        },
      })
      .sink('out', print())
    return app.graph()
  }
  const outcomes: string[][] = []
  for (const [way, options] of Object.entries(ways)) {
    const path = join(dir, way)
    await runEmbedded(graph(), { sources: { events: fileSource([input]) }, sinks: { out: fileSink(path) }, ...options })
    outcomes.push(sortedLines(path))
  }
  for (const lines of outcomes) assert.deepEqual(lines, outcomes[0])
  for (const { one, many, row, sum, agg } of outcomes[0]!.map(line => JSON.parse(line))) {
    assert.deepEqual({ one, many, row }, { one: 0, many: 0, row: 0 })
    assert.equal(sum, agg)
  }
})

test('a sink that buffers has each record as it was when it came', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(100, 5))
  const app = pipeline('buffering')
  app
    .source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('60s') })
    .map(() => ({ n: 1 }))
    .keyBy(() => 'all')
    .reduce((a, b) => {
      a.n += b.n
      return a
    })
    .sink('out', print())
  const buffered: { n: number }[] = []
  const out = customSink<{ n: number }>({ name: 'buffer', open: () => ({ write: record => void buffered.push(record) }) })
  await runEmbedded(app.graph(), { sources: { events: fileSource([input]) }, sinks: { out } })
  assert.deepEqual(
    buffered.map(({ n }) => n),
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
})
