import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import * as z from 'zod'
import { StateMismatchError } from '../../runtime/checkpoint/run-meta.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions, RunSummary } from '../../runtime/embedded/run-options.ts'
import type { Upgrade } from '../../runtime/graph/upgrade.ts'
import {
  type Aggregate,
  aggregate,
  aggregating,
  boundedOutOfOrderness,
  list,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  reducing,
  session,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { Event, generate, scratch, sortedLines, writeEvents } from './events.ts'
import { stoppingAfter } from './runs.ts'

const EVENTS = 500

function start() {
  const app = pipeline('carts')
  const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('60s') })
  return { app, events }
}

/** Counts calls of migrations, and may fail at one. */
interface Watch {
  calls: number
  failAt?: number
}

/**
 * The same pipeline with the same results, whose state has plain numbers in version 1, and objects with one field in the versions after it, of another name in each: a value that is not migrated, or twice, gives
 * another result.
 */
function carts(version: 1 | 2 | 3, watch: Watch = { calls: 0 }): () => Pipeline {
  const field = ['', 'n', 'm'][version - 1]!
  const box = (n: number): any => (version === 1 ? n : { [field]: n })
  const open = (boxed: any): number => {
    const n = version === 1 ? boxed : boxed[field]
    assert.equal(typeof n, 'number')
    return n
  }
  const step =
    <T>(change: (old: any) => T) =>
    (old: any): T => {
      watch.calls++
      if (watch.calls === watch.failAt) throw new Error('no more')
      return change(old)
    }
  const all = { 1: step((n: number) => ({ n })), 2: step(({ n }: { n: number }) => ({ m: n })) }
  const migrate = Object.fromEntries(Object.entries(all).filter(([from]) => Number(from) < version))
  const of = { version, migrate }
  const summed: Aggregate<Event, any, number> = aggregate({
    ...of,
    createAccumulator: () => box(0),
    add: (acc: any, e: Event) => box(open(acc) + e.amount),
    merge: (a: any, b: any) => box(open(a) + open(b)),
    getResult: open,
  })
  return () => {
    const { app, events } = start()
    const users = events.keyBy('user')
    users
      .process({
        state: {
          total: value<any>(of),
          counts: map<string, any>({ ...of, ttl: '10 days' }),
          last: list<any>(of),
          most: reducing<any>((a, b) => box(Math.max(open(a), open(b))), of),
          sum: aggregating(summed),
        },
        onRecord(e, { state }) {
          const total = open(state.total.get() ?? box(0)) + e.amount
          state.total.set(box(total))
          const count = open(state.counts.get(e.item) ?? box(0)) + 1
          state.counts.set(e.item, box(count))
          state.last.add(box(e.amount))
          const last = state.last.get().map(open)
          if (last.length > 4) state.last.clear()
          state.most.add(box(e.amount))
          state.sum.add(e)
          return [{ id: e.id, total, count, last, most: open(state.most.get()), sum: state.sum.get() }]
        },
      })
      .uid('cart')
      .sink('carts', print())
    for (const [name, assigner] of [
      ['panes', tumbling('20s')],
      ['sessions', session('3s')],
      ['windows', tumbling('20s')],
    ] as const) {
      const windows = users.window(assigner)
      // A lateness takes the general operator.
      const patient = name === 'windows' ? windows.allowedLateness('1s') : windows
      patient
        .aggregate(summed, (sum, { key, window }) => ({ key, sum, start: window.start }))
        .uid(name)
        .sink(name, print())
    }
    return app
  }
}

interface Way extends RunOptions {
  readonly dir: string
  readonly input: string
  readonly stopAfter?: number
  readonly out?: string
}

function go(app: () => Pipeline, { dir, input, stopAfter, out = 'out', ...options }: Way): Promise<RunSummary> {
  const graph = app().graph()
  const stop = new AbortController()
  const source = fileSource([input])
  const events = stopAfter === undefined ? source : stoppingAfter(stopAfter, source, stop)
  const sources = { events, ...(graph.nodes.some(n => n.source?.name === 'more') && { more: source }) }
  const names = graph.nodes.flatMap(n => n.sink?.name ?? [])
  const sinks = Object.fromEntries(names.map(name => [name, fileSink(join(dir, `${out}-${name}`))]))
  return runEmbedded(graph, { sources, sinks, batchSize: 13, checkpointMs: 1, signal: stop.signal, ...options })
}

const SINKS = ['carts', 'panes', 'sessions', 'windows']
const results = (dir: string, out = 'out') =>
  Object.fromEntries(SINKS.map(name => [name, sortedLines(join(dir, `${out}-${name}`))]))

for (const stateBackend of ['table', 'segments'] as const)
  for (const stateMemory of [1, undefined])
    test(`values of older versions are migrated as they are read, in the same run (${stateBackend}, ${stateMemory === 1 ? 'cold' : 'warm'})`, async t => {
      const dir = scratch(t)
      const input = writeEvents(join(dir, 'events.ndjson'), generate(EVENTS, 21))
      const way = { dir, input, stateBackend, stateMemory, state: join(dir, 'state'), parallelism: 2 }
      await go(carts(1), { dir, input, out: 'whole', parallelism: 2 })
      const first = await go(carts(1), { ...way, stopAfter: 200 })
      let upgrade: Upgrade | undefined
      const watch = { calls: 0 }
      // Little is read: most is still of version 1 when version 3 comes.
      const second = await go(carts(2, watch), { ...way, stopAfter: 10, onUpgrade: u => (upgrade = u) })
      assert.equal(second.run, first.run)
      assert.equal(upgrade!.sameLayout, true)
      const cart = upgrade!.fates.filter(f => f.operator === 'cart')
      assert.deepEqual(
        cart.map(f => `${f.state} ${f.fate} ${f.reason}`),
        ['total', 'counts', 'last', 'most', 'sum'].map(state => `${state} migrated from version 1 to 2`),
      )
      assert.ok(watch.calls > 0)
      const third = await go(carts(3, watch), { ...way, stopAfter: 100 })
      assert.equal(third.run, first.run)
      await go(carts(3, watch), way)
      assert.deepEqual(results(dir), results(dir, 'whole'))
      await assert.rejects(go(carts(2), way), /its values are of version 3, and this code knows them up to version 2/)
    })

/** What each user bought first: written once, and only read from then on. */
function firsts(version: 1 | 2, watch: Watch = { calls: 0 }): () => Pipeline {
  const migrate = {
    1: (item: string) => {
      watch.calls++
      return { item }
    },
  }
  const of = version === 1 ? {} : { version, migrate }
  return () => {
    const { app, events } = start()
    events
      .keyBy('user')
      .process({
        state: { first: value<any>(of), seen: map<string, any>(of) },
        onRecord(e, { state }) {
          const first = state.first.get()
          if (first === undefined) {
            state.first.set(version === 1 ? e.item : { item: e.item })
            state.seen.set('first', version === 1 ? e.item : { item: e.item })
            return []
          }
          const seen = state.seen.get('first')
          return [{ id: e.id, first: version === 1 ? first : first.item, seen: version === 1 ? seen : seen.item }]
        },
      })
      .uid('firsts')
      .sink('firsts', print())
    return app
  }
}

for (const stateBackend of ['table', 'segments'] as const)
  test(`what has been migrated is written back with the next commit, though it is only read: nothing is migrated twice (${stateBackend})`, async t => {
    const dir = scratch(t)
    const events = generate(EVENTS, 22)
    const input = writeEvents(join(dir, 'events.ndjson'), events)
    const way = { dir, input, stateBackend, state: join(dir, 'state'), stateMemory: 1 }
    await go(firsts(1), { ...way, stopAfter: 200 })
    const users = new Set(events.map(e => e.user)).size
    const watch = { calls: 0 }
    await go(firsts(2, watch), { ...way, stopAfter: 130 })
    assert.equal(watch.calls, 2 * users)
    await go(firsts(2, watch), way)
    assert.equal(watch.calls, 2 * users)
    await go(firsts(1), { ...way, state: join(dir, 'whole'), out: 'whole' })
    assert.deepEqual(sortedLines(join(dir, 'out-firsts')), sortedLines(join(dir, 'whole-firsts')))
  })

test('a run that dies in the middle of migrating goes on there', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(EVENTS, 23))
  const way = { dir, input, state: join(dir, 'state'), stateMemory: 1 }
  await go(carts(1), { dir, input, out: 'whole' })
  await go(carts(1), { ...way, stopAfter: 200 })
  for (const failAt of [1, 7, 40])
    await assert.rejects(
      go(carts(2, { calls: 0, failAt }), way),
      /operator \w+: the state '\w+' of the key "u\d+" is of version 1, and migrate\[1\] failed on it: no more/,
    )
  await go(carts(2), way)
  assert.deepEqual(results(dir), results(dir, 'whole'))
})

test('a snapshot of old versions: a run from it has them migrated, also where operators came and went', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(EVENTS, 24))
  const way = { dir, input }
  const first = await go(carts(1), { ...way, state: join(dir, 'state'), stopAfter: 200 })
  await go(carts(1), { ...way, out: 'rest', state: join(dir, 'copy'), from: { directory: join(dir, 'state') } })
  const more = () => {
    const app = carts(3)()
    const more = app.source('more', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('60s') })
    more
      .keyBy('user')
      .reduce((_, b) => b)
      .uid('more')
      .sink('more', print())
    return app
  }
  const forked = await go(more, { ...way, out: 'fork', state: join(dir, 'fork'), from: { directory: join(dir, 'state') } })
  assert.notEqual(forked.run, first.run)
  assert.deepEqual(results(dir, 'fork'), results(dir, 'rest'))
})

const kept = (schema: z.ZodType<any>, versions: { version?: number; migrate?: Record<number, (old: any) => any> } = {}) => {
  return () => {
    const { app, events } = start()
    events
      .keyBy('user')
      .process({
        state: { user: value<any>({ schema, ...versions }) },
        onRecord(e, { state }) {
          const before = state.user.get()
          state.user.set(schema.parse({ ...before, ...CURRENT(e) }))
          return before === undefined ? [] : [before]
        },
      })
      .uid('users')
      .sink('users', print())
    return app
  }
}
const CURRENT = (e: Event) => ({ user: e.user, name: e.user, last: e.amount, at: e.at })
const V1 = z.object({ user: z.string(), last: z.number() })

test('fields with a schema: they may go, and come if they can be absent; all else is refused with operator, state and field', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(EVENTS, 25))
  const way = { dir, input, state: join(dir, 'state'), stateMemory: 1 }
  await go(kept(V1), { ...way, stopAfter: 200 })
  const refused = async (app: () => Pipeline, pattern: RegExp) =>
    assert.rejects(go(app, way), error => error instanceof StateMismatchError && pattern.test(error.message))
  await refused(
    kept(V1.extend({ last: z.string() })),
    /user of users: the field last was number and is string: set its version to 2, with migrate: \{ 1: old => … \}/,
  )
  await refused(kept(V1.extend({ at: z.number() })), /user of users: the field at is new, and has to be there/)
  await refused(
    kept(z.object({ name: z.string(), last: z.number() })),
    /user of users: the field name is new in the place of user, and has to be there/,
  )
  await refused(
    kept(V1, { version: 3, migrate: { 1: old => old } }),
    /user of users: its values are of version 2 and are to be of version 3: give it migrate: \{ 2:/,
  )
  const lines = () =>
    readFileSync(join(dir, 'out-users'), 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
  const before = lines().length
  let upgrade: Upgrade | undefined
  const wider = z.object({ user: z.string(), visits: z.number().default(7), note: z.string().optional() })
  await go(kept(wider), { ...way, stopAfter: 100, onUpgrade: u => (upgrade = u) })
  assert.equal(upgrade!.fates.find(f => f.operator === 'users')!.reason, 'adds note, visits, leaves out last')
  const rows = lines().slice(before)
  assert.ok(rows.length > 0)
  for (const row of rows) assert.deepEqual(Object.keys(row).sort(), ['user', 'visits'])
  const renamed = z.object({ name: z.string(), visits: z.string() })
  await go(kept(renamed, { version: 2, migrate: { 1: ({ user, visits }) => ({ name: user, visits: `${visits} or so` }) } }), {
    ...way,
  })
  const last = lines().slice(before + rows.length)
  assert.ok(last.length > 0)
  for (const row of last) assert.deepEqual(row, { name: row.name, visits: '7 or so' })
})
