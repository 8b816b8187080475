import {
  boundedOutOfOrderness,
  count,
  type KeyedStream,
  ndjson,
  pipeline,
  print,
  type Stream,
  session,
  sliding,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { type Dice, dice } from '../../runtime/sim/random.ts'
import type { Input, Scenario, UserCode } from '../../runtime/sim/scenario.ts'
import { Event } from '../engine/events.ts'
import { KEY_GROUPS } from './counts.ts'

/** What flows between the operators of a random pipeline. */
interface Row {
  readonly user: string
  readonly item: string
  readonly amount: number
}

type Step = (rows: Stream<Row>, user: UserCode) => Stream<Row>
type KeyedStep = (rows: KeyedStream<Row, string>, user: UserCode) => Stream<Row>

/** Without a key. */
const PLAIN: readonly Step[] = [
  rows => rows.map(r => ({ ...r, amount: r.amount + 1 })),
  rows => rows.filter(r => r.amount % 5 !== 0),
  rows => rows.flatMap(r => (r.amount % 3 === 0 ? [r, { ...r, amount: 7 }] : [r])),
  (rows, { maySurprise }) =>
    rows.map(r => {
      maySurprise(`${r.user} ${r.item} ${r.amount}`)
      return r
    }),
  (rows, { sleep }) =>
    rows.mapAsync(
      async r => {
        await sleep(r.amount % 30)
        return r
      },
      { capacity: 4 },
    ),
]

/** Under a key whose records come from one shard, in one order. */
const ORDERED: readonly KeyedStep[] = [
  rows =>
    rows.process({
      state: { n: value<number>() },
      onRecord(r, ctx) {
        const n = (ctx.state.n.get() ?? 0) + 1
        ctx.state.n.set(n)
        return [{ ...r, amount: r.amount * 10 + n }]
      },
    }),
  rows =>
    rows.process({
      state: { total: value<number>() },
      onRecord(r, ctx) {
        ctx.state.total.set((ctx.state.total.get() ?? 0) + r.amount)
        ctx.timers.event.set(Math.ceil(ctx.timestamp / 700) * 700 + 300)
      },
      onTimer(_at, ctx) {
        const total = ctx.state.total.get() ?? 0
        ctx.state.total.clear()
        return [{ user: ctx.key, item: ctx.key, amount: total }]
      },
    }),
  rows => rows.dedup('amount', { ttl: '1h' }),
]

/** Under any key: what comes out does not depend on the order of what comes in. */
const WINDOWS: readonly KeyedStep[] = [
  rows => rows.window(tumbling('1s')).aggregate(sum('amount'), (amount, { key }) => ({ user: key, item: key, amount })),
  rows => rows.window(sliding('2s', '1s')).aggregate(count(), (amount, { key }) => ({ user: key, item: key, amount })),
  rows => rows.window(session('500ms')).aggregate(sum('amount'), (amount, { key }) => ({ user: key, item: key, amount })),
]

/** A pipeline of its own for each seed: plain steps, a keyed one, more of them behind a second shuffle, sinks here and there. */
export function randomScenario(input: (shards: number) => (dice: Dice) => Input): Scenario {
  return {
    name: 'random',
    shards: 2,
    parallelism: 2,
    variants: Number.POSITIVE_INFINITY,
    input: input(2),
    app(user, variant) {
      const random = dice(variant).fork('pipeline')
      const app = pipeline('random', { keyGroups: KEY_GROUPS })
      const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('60s') })
      let rows: Stream<Row> = events.map(({ user, item, amount }) => ({ user, item, amount }))
      const plain = () => {
        for (let n = random.below(3); n > 0; n--) rows = random.pick(PLAIN)(rows, user)
      }
      plain()
      rows = random.pick([...ORDERED, ...WINDOWS])(rows.keyBy(random.pick(['user', 'item'] as const)), user)
      plain()
      rows.sink('first', print())
      if (random.chance(0.7)) {
        rows = random.pick(WINDOWS)(
          rows.keyBy((r): string => `k${r.amount % 3}`),
          user,
        )
        plain()
        rows.sink('second', print())
      }
      return app
    },
  }
}
