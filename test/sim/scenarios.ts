import assert from 'node:assert/strict'
import {
  boundedOutOfOrderness,
  type Duration,
  ndjson,
  pipeline,
  print,
  sideOutput,
  skipPastLastEvent,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { withKeyGroups } from '../../runtime/sim/key-groups.ts'
import type { Dice } from '../../runtime/sim/random.ts'
import type { Input, Scenario } from '../../runtime/sim/scenario.ts'
import { type Event, generate, START, Event as schema } from '../engine/events.ts'
import { expected } from '../engine/naive.ts'
import { pipelines } from '../engine/pipelines.ts'
import { counts, KEY_GROUPS, lots, poison, poisonIds } from './counts.ts'
import { farAhead } from './far-ahead.ts'
import { randomScenario } from './random-pipeline.ts'
import { recommendations } from './recommendations.ts'

const EVENTS = 30
/** So far apart that what is out of order is late for some windows, and for all. */
const LATE = 10
const END = START + 600_000

/** Events, and one far behind them in each shard, which ends all windows. Users and items stay in one shard each. `stretch`: how much longer it is between them. */
function eventsOf(shards: number, stretch = 1) {
  return (dice: Dice): Input => {
    const events: Event[][] = Array.from({ length: shards }, () => [])
    for (const event of generate(EVENTS, dice.below(2 ** 30))) {
      const shard = Number(event.user.slice(1)) % shards
      const item = shards === 1 ? event.item : `${shard}-${event.item}`
      events[shard]!.push({ ...event, item, at: START + (event.at - START) * stretch })
    }
    for (const [shard, all] of events.entries())
      all.push({ id: `end${shard}`, kind: 'view', user: `end${shard}`, item: `end${shard}`, at: END, amount: 0 })
    return { events: events.map(all => all.map(event => JSON.stringify(event))) }
  }
}

/** Of the engine's own tests: with late data, and so one shard, and without. */
const ENGINES: Readonly<Record<string, number>> = {
  'window-late': 1,
  'window-lateness': 1,
  session: 1,
  process: 1,
  'interval-join': 2,
  'window-join': 2,
  'co-group': 1,
  'dedup-sum': 2,
  'top-n': 2,
  'join-with': 2,
  broadcast: 2,
}

function engine(name: string, shards: number): Scenario {
  const app = () => withKeyGroups(pipelines[name]!(), KEY_GROUPS)
  return {
    name,
    shards,
    parallelism: 2,
    variants: 4,
    app,
    input: eventsOf(shards, name.startsWith('window-late') ? LATE : 1),
    check: naively(name),
  }
}

/** What is the same with faults and without may still be wrong: some are worked out from their definition, too. */
function naively(name: string): Scenario['check'] {
  const naive = expected[name]
  if (naive === undefined) return undefined
  // Windows of the last events stay open: a stream does not end.
  const sorted = (rows: readonly unknown[]) =>
    rows
      .map(row => JSON.stringify(row))
      .filter(row => !/"end\d"/.test(row))
      .sort()
  return (rows, input) => {
    const wanted = naive(input.events!.flat().map(line => JSON.parse(line)))
    for (const [sink, of] of Object.entries(wanted))
      assert.deepEqual(sorted(rows[sink]!), sorted(of), `what ${sink} holds by definition`)
  }
}

function events(name: string, idleAfter?: Duration) {
  const app = pipeline(name, { keyGroups: KEY_GROUPS })
  const options = { time: (e: Event) => e.at, watermark: boundedOutOfOrderness('60s'), ...(idleAfter && { idleAfter }) }
  return { app, events: app.source('events', ndjson(schema), options) }
}

const timers: Scenario = {
  name: 'timers',
  shards: 2,
  parallelism: 2,
  variants: 4,
  input: eventsOf(2),
  app({ maySurprise, broken }) {
    const { app, events: source } = events('timers')
    source
      .keyBy('user')
      .process({
        state: { n: value<number>(), last: value<number>() },
        onRecord(e, ctx) {
          for (const after of [1_000, 3_000, 90_000]) ctx.timers.event.set(e.at + after)
          ctx.timers.event.delete(e.at - 500)
        },
        onTimer(at, ctx) {
          maySurprise(`timer ${ctx.key} ${at}`)
          const last = ctx.state.last.get()
          if (last !== undefined && last >= at)
            broken(`the state of ${ctx.key} has the timer of ${last}, when that of ${at} fires`)
          ctx.state.last.set(at)
          const n = (ctx.state.n.get() ?? 0) + 1
          if (n < 7) ctx.state.n.set(n)
          else ctx.state.n.clear()
          if (n % 5 === 0) ctx.timers.event.set(at + 2_000)
          return [{ at, user: ctx.key, n }]
        },
      })
      .sink('out', print())
    return app
  },
}

/** One shard is silent from the beginning, which is told by checkpoints alone, and each user has a timer of processing time. */
const silent: Scenario = {
  name: 'silent',
  shards: 2,
  parallelism: 2,
  variants: 4,
  input: dice => ({ events: [...eventsOf(1)(dice).events!, []] }),
  check({ windows, timers }, input) {
    const users = new Set(input.events![0]!.map(line => JSON.parse(line).user))
    assert.deepEqual(timers!.map(({ user }) => user).sort(), [...users].sort(), 'each timer fires once')
    assert.ok(windows!.length > 0, 'the silent shard holds no window up')
  },
  app() {
    const { app, events: source } = events('silent', '1s')
    source
      .keyBy('item')
      .window(tumbling('10s'))
      .aggregate(sum('amount'), (total, { key, window }) => ({ item: key, total, start: window.start }))
      .sink('windows', print())
    source
      .keyBy('user')
      .process({
        state: { isSet: value<boolean>() },
        onRecord(_, ctx): { user: string }[] {
          if (!ctx.state.isSet.get()) ctx.timers.processing.set(1)
          ctx.state.isSet.set(true)
          return []
        },
        onTimer: (_, ctx) => [{ user: ctx.key }],
      })
      .sink('timers', print())
    return app
  },
}

const calls: Scenario = {
  name: 'async',
  shards: 2,
  parallelism: 2,
  variants: 4,
  input: eventsOf(2),
  app({ sleep, maySurprise }) {
    const { app, events: source } = events('async')
    source
      .mapAsync(
        async e => {
          await sleep(e.amount % 40)
          return { ...e, double: e.amount * 2 }
        },
        { capacity: 4 },
      )
      .keyBy('user')
      .mapAsync(
        async e => {
          await sleep(e.amount % 7)
          maySurprise(e.id)
          return { ...e, more: e.double + 1 }
        },
        { capacity: 3, retries: 4 },
      )
      .keyBy('item')
      .window(tumbling('10s'))
      .aggregate(sum('more'), (total, { key, window }) => ({ item: key, total, start: window.start }))
      .mapAsyncBatch(async rows => rows.map(r => ({ ...r, batched: true })), { size: 7, wait: '1ms' })
      .sink('out', print())
    return app
  },
}

/** Watermarks travel with barriers only: no other step is as large as they have to be. */
const LATER_MS = 101

const steps: Scenario = {
  name: 'watermark-steps',
  shards: 2,
  parallelism: 2,
  variants: 4,
  input: dice => ({
    events: [0, 1].map(shard =>
      Array.from({ length: 12 }, (_, i) => {
        const event = { id: `${shard}-${i}`, kind: 'view', user: `u${dice.below(3)}`, item: 'i', amount: 1 }
        return JSON.stringify({ ...event, at: START + i * 200 })
      }),
    ),
  }),
  app() {
    const app = pipeline('steps', { keyGroups: KEY_GROUPS, watermarkStep: 3_600_000 })
    app
      .source('events', ndjson(schema), { time: e => e.at, watermark: boundedOutOfOrderness('0s') })
      .keyBy('user')
      .window(tumbling('1s'))
      .aggregate(sum('amount'), (n, { key, window }) => ({ user: key, n, start: window.start }))
      // Of other times, so that a watermark may matter here alone: no result of the stage before asks for a checkpoint then.
      .keyBy('start')
      .window(tumbling('1s', { offset: LATER_MS }))
      .process(rows => rows)
      .sink('out', print())
    return app
  },
  check({ out }, { events }) {
    const watermark = START + 11 * 200 - 1
    const counts = new Map<string, number>()
    for (const { user, at } of events!.flat().map(line => JSON.parse(line))) {
      const start = Math.floor(at / 1_000) * 1_000
      const end = Math.ceil((start + 1_000 - LATER_MS) / 1_000) * 1_000 + LATER_MS
      if (end - 1 <= watermark) counts.set(`${user} ${start}`, (counts.get(`${user} ${start}`) ?? 0) + 1)
    }
    const found = new Map(out!.map(({ user, n, start }) => [`${user} ${start}`, n]))
    assert.deepEqual([...found].sort(), [...counts].sort(), 'windows that the watermark has passed are out')
  },
}

const cep: Scenario = {
  name: 'cep',
  shards: 2,
  parallelism: 2,
  variants: 4,
  input: eventsOf(2),
  app() {
    const { app, events: source } = events('cep')
    const lost = sideOutput<any>('lost')
    const found = source.keyBy('item').match(
      begin =>
        begin('seen')
          .where(e => e.kind === 'view')
          .followedBy('bought')
          .where(e => e.kind === 'buy')
          .within('3s'),
      { skip: skipPastLastEvent(), timedOutTo: lost },
    )
    found.map(({ seen, bought }) => ({ seen: seen[0]!.id, bought: bought[0]!.id })).sink('out', print())
    found
      .sideOutput(lost)
      .map(({ seen }) => ({ seen: seen[0]?.id }))
      .sink('lost', print())
    return app
  },
}

/** Dead letters are exactly the poison records. One of a restored run may be there twice: its stage got the record in another frame. */
function withLetters(scenario: Scenario): Scenario {
  const idsOf = (letters: readonly any[]) => [
    ...new Set(letters.map(({ raw, value }) => (raw === undefined ? value : JSON.parse(raw)).id)),
  ]
  return {
    ...scenario,
    check(rows, input, letters) {
      scenario.check?.(rows, input, letters)
      const poisoned = scenario === poison ? poisonIds(input) : []
      assert.deepEqual(idsOf(letters).sort(), poisoned, 'dead letters are the poison records')
    },
  }
}

const all: readonly Scenario[] = [
  counts,
  poison,
  lots,
  timers,
  calls,
  cep,
  steps,
  silent,
  recommendations,
  randomScenario(eventsOf),
  farAhead,
  ...Object.entries(ENGINES).map(([name, shards]) => engine(name, shards)),
]
export const scenarios: readonly Scenario[] = all.map(withLetters)

/**
 * Pipelines whose user code knows what it can never be given, and says so at once, whatever becomes of the attempt: more seeds are theirs. With them there are as many as share no factor with the kinds of seeds (small.ts).
 */
const MORE: readonly Scenario[] = [counts, counts, counts, lots, lots, poison, poison, timers, farAhead]
const bySeed = [...all, ...MORE].map(scenario => scenarios[all.indexOf(scenario)]!)

/** The pipeline of a seed, unless it is to be a certain one. */
export function scenarioOf(seed: number, name?: string): Scenario {
  return name === undefined ? bySeed[seed % bySeed.length]! : scenarios.find(s => s.name === name)!
}
