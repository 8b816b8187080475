import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { StateMismatchError } from '../../runtime/checkpoint/run-meta.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions, RunSummary } from '../../runtime/embedded/run-options.ts'
import type { Upgrade } from '../../runtime/graph/upgrade.ts'
import {
  boundedOutOfOrderness,
  count,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  type Stream,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { Event, generate, scratch, sortedLines, writeEvents } from './events.ts'
import { dieRestoring, onlyOneRun, stoppingAfter } from './runs.ts'

const EVENTS = 500
const STOP_AFTER = 200

interface Total {
  readonly user: string
  readonly total: number
}

function start() {
  const app = pipeline('shop')
  const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('60s') })
  return { app, events }
}

type Events = Stream<Event>

/** The running total of each user. */
function totals(events: Events, uid: string | null = 'totals') {
  const stream = events.keyBy('user').process({
    state: { total: value<number>(), seen: map<string, number>() },
    onRecord(e, ctx): Total[] {
      const total = (ctx.state.total.get() ?? 0) + e.amount
      ctx.state.total.set(total)
      ctx.state.seen.set(e.item, e.at)
      return [{ user: e.user, total }]
    },
  })
  return uid === null ? stream : stream.uid(uid)
}

function minutes(events: Events) {
  return events
    .keyBy('item')
    .window(tumbling('1m'))
    .aggregate(count(), (n, { key, window }) => ({ item: key, n, start: window.start }))
    .uid('minutes')
}

/** How it was, and how it becomes. */
const versions = {
  first() {
    const { app, events } = start()
    totals(events).sink('totals', print())
    minutes(events).sink('minutes', print())
    return app
  },

  /** Operators come in front of, between and behind those that were there, which are declared in another order. */
  second() {
    const { app, events } = start()
    const clean = events.map(e => ({ ...e, amount: e.amount })).filter(e => e.amount >= 0)
    minutes(clean).sink('minutes', print())
    clean
      .keyBy('item')
      .reduce((a, b) => ({ ...b, amount: a.amount + b.amount }))
      .uid('items')
      .sink('items', print())
    const users = totals(clean)
    users
      .keyBy('user')
      .process({
        state: { n: value<number>() },
        onRecord({ user, total }, ctx) {
          const n = (ctx.state.n.get() ?? 0) + 1
          ctx.state.n.set(n)
          return [{ user, n, total }]
        },
      })
      .uid('numbered')
      .sink('numbered', print())
    users.sink('totals', print())
    return app
  },

  /** The windows are gone. */
  withoutMinutes() {
    const { app, events } = start()
    totals(events).sink('totals', print())
    return app
  },

  /** No uid: what is derived from the shape is another id when something comes before it. */
  withoutUid() {
    const { app, events } = start()
    totals(
      events.filter(() => true),
      null,
    ).sink('totals', print())
    minutes(events).sink('minutes', print())
    return app
  },
} satisfies Record<string, () => Pipeline>

type Version = keyof typeof versions

interface Way extends RunOptions {
  readonly dir: string
  readonly input: string
  readonly stopAfter?: number
  /** Of the sinks' files. */
  readonly out?: string
}

function go(version: Version | (() => Pipeline), { dir, input, stopAfter, out = 'out', ...options }: Way): Promise<RunSummary> {
  const graph = (typeof version === 'string' ? versions[version] : version)().graph()
  const stop = new AbortController()
  const source = fileSource([input])
  const events = stopAfter === undefined ? source : stoppingAfter(stopAfter, source, stop)
  const names = graph.nodes.flatMap(n => n.sink?.name ?? [])
  const sinks = Object.fromEntries(names.map(name => [name, fileSink(join(dir, `${out}-${name}`))]))
  return runEmbedded(graph, { sources: { events }, sinks, batchSize: 13, checkpointMs: 1, signal: stop.signal, ...options })
}

const found = (dir: string, name: string, out = 'out') => sortedLines(join(dir, `${out}-${name}`))
const linesOf = (rows: readonly unknown[]) => rows.map(row => JSON.stringify(row)).sort()

/** What `totals` gives for these, in their order. */
function runningTotals(events: readonly Event[]): Total[] {
  const totals = new Map<string, number>()
  return events.map(({ user, amount }) => {
    totals.set(user, (totals.get(user) ?? 0) + amount)
    return { user, total: totals.get(user)! }
  })
}

for (const [parallelism, then] of [
  [1, 1],
  [3, 3],
  [4, 1],
  [1, 3],
  [3, 8],
] as const)
  for (const stateBackend of ['table', 'segments'] as const)
    test(`operators are added and put in another order: those with a uid keep their state (parallelism ${parallelism}, then ${then}, ${stateBackend})`, async t => {
      const dir = scratch(t)
      const events = generate(EVENTS, 11)
      const input = writeEvents(join(dir, 'events.ndjson'), events)
      const way = { dir, input, parallelism, stateBackend, state: join(dir, 'state'), stateMemory: 1 }
      await go('first', { dir, input, parallelism, out: 'whole' })
      const first = await go('first', { ...way, stopAfter: STOP_AFTER })
      assert.equal(first.outcome, 'stopped')
      let upgrade: Upgrade | undefined
      const second = await go('second', { ...way, parallelism: then, onUpgrade: u => (upgrade = u) })
      assert.equal(second.outcome, 'finished')
      assert.deepEqual(
        upgrade!.fates.map(f => `${f.fate} ${f.operator} ${f.state}`),
        [
          'kept source-events position',
          'kept minutes panes',
          'empty items reduced',
          'kept totals total',
          'kept totals seen',
          'empty numbered n',
        ],
      )
      assert.deepEqual(found(dir, 'totals'), linesOf(runningTotals(events)))
      assert.deepEqual(found(dir, 'minutes'), found(dir, 'minutes', 'whole'))
      // What is new has seen what was read since.
      const rest = events.slice(first.events)
      assert.equal(found(dir, 'items').length, rest.length)
      const last = new Map(runningTotals(events).map(({ user, total }) => [user, total]))
      for (const [user, total] of last) {
        const n = rest.filter(e => e.user === user).length
        if (n > 0) assert.ok(found(dir, 'numbered').includes(JSON.stringify({ user, n, total })), `${user} ${n}`)
      }
      await onlyOneRun(way.state)
    })

test('what nothing takes over is dropped only if that is wanted, and refused by name before anything has changed', async t => {
  const dir = scratch(t)
  const events = generate(EVENTS, 12)
  const input = writeEvents(join(dir, 'events.ndjson'), events)
  const way = { dir, input, state: join(dir, 'state') }
  await go('first', { ...way, stopAfter: STOP_AFTER })
  const refused = (pattern: RegExp) => (error: unknown) => error instanceof StateMismatchError && pattern.test(error.message)
  await assert.rejects(go('withoutMinutes', way), refused(/no(thing|body).*: panes of minutes\. .*--allow-drop/))
  await assert.rejects(go('withoutUid', way), refused(/: total of totals; seen of totals\. Keep the operators' uids/))
  // As if nothing had been.
  await go('first', { ...way, stopAfter: 20 })
  await go('withoutMinutes', { ...way, allowDrop: true, stopAfter: 20 })
  // Back again, it starts empty; what was kept is as if nothing had been.
  let upgrade: Upgrade | undefined
  await go('first', { ...way, onUpgrade: u => (upgrade = u) })
  assert.deepEqual(
    upgrade!.fates.filter(f => f.fate !== 'kept').map(f => `${f.fate} ${f.operator}`),
    ['empty minutes'],
  )
  assert.deepEqual(found(dir, 'totals'), linesOf(runningTotals(events)))
})

test('state that means something else now is refused, with operator, state and reason', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(EVENTS, 13))
  const way = { dir, input, state: join(dir, 'state') }
  await go('first', { ...way, stopAfter: STOP_AFTER })
  const totalsBy = (change: (events: Events) => { sink: (name: string, to: ReturnType<typeof print>) => unknown }) => () => {
    const { app, events } = start()
    change(events).sink('totals', print())
    minutes(events).sink('minutes', print())
    return app
  }
  const otherKey = totalsBy(events =>
    events
      .keyBy('item')
      .process({ state: { total: value<number>(), seen: map<string, number>() }, onRecord: e => [e] })
      .uid('totals'),
  )
  await assert.rejects(
    go(otherKey, way),
    /total of totals: it was kept by user and the operator is now keyed by item: give it another uid/,
  )
  const otherType = totalsBy(events =>
    events
      .keyBy('user')
      .reduce((_, b) => b)
      .uid('totals'),
  )
  await assert.rejects(go(otherType, way), /total of totals: the operator was process and is reduce/)
  const otherState = totalsBy(events =>
    events
      .keyBy('user')
      .process({ state: { total: map<string, number>(), seen: map<string, number>() }, onRecord: e => [e] })
      .uid('totals'),
  )
  await assert.rejects(go(otherState, way), /total of totals: it was value and is map: give the state another name/)
})

test('a snapshot of other code: its operators keep their state, and the one that it was taken of goes on', async t => {
  const dir = scratch(t)
  const events = generate(EVENTS, 14)
  const input = writeEvents(join(dir, 'events.ndjson'), events)
  const way = { dir, input, parallelism: 2 }
  const first = await go('first', { ...way, state: join(dir, 'state'), stopAfter: STOP_AFTER })
  await go('second', { ...way, state: join(dir, 'fork'), from: { directory: join(dir, 'state') }, out: 'fork' })
  // The fork's files begin with what came since.
  assert.deepEqual(found(dir, 'totals', 'fork'), linesOf(runningTotals(events).slice(first.events)))
  await go('first', { ...way, state: join(dir, 'state') })
  assert.deepEqual(found(dir, 'totals'), linesOf(runningTotals(events)))
})

test('an upgrade that died before its new run was whole is done by the same command', async t => {
  const dir = scratch(t)
  const events = generate(EVENTS, 15)
  const input = writeEvents(join(dir, 'events.ndjson'), events)
  const way = { dir, input, state: join(dir, 'state') }
  await go('first', { ...way, stopAfter: STOP_AFTER })
  await dieRestoring(way.state)
  await go('second', way)
  assert.deepEqual(found(dir, 'totals'), linesOf(runningTotals(events)))
  await onlyOneRun(way.state)
})
