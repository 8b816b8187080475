import assert from 'node:assert/strict'
import test from 'node:test'
import { readManifest } from '../../runtime/checkpoint/manifest.ts'
import { restore } from '../../runtime/checkpoint/restore.ts'
import {
  boundedOutOfOrderness,
  count,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  type Stream,
  sum,
  tumbling,
} from '../../runtime/index.ts'
import { seeded } from '../engine/events.ts'
import { harness } from '../engine/harness.ts'
import { Entry } from '../engine/ledger.ts'
import { cutsOf, Schedule, sorted } from './schedule.ts'

interface Balance {
  readonly user: string
  readonly due: number
  readonly amount: number
}

/** Of each user and three seconds. */
function balances(stream: Stream<Entry>): Stream<Balance> {
  return stream
    .keyBy('user')
    .process({
      state: { sums: map<number, number>() },
      onRecord(e, ctx) {
        const due = Math.ceil((e.at + 1) / 3000) * 3000
        ctx.state.sums.set(due, (ctx.state.sums.get(due) ?? 0) + e.amount)
        ctx.timers.event.set(due)
      },
      onTimer(due, ctx): Balance[] {
        const amount = ctx.state.sums.get(due)!
        ctx.state.sums.delete(due)
        return [{ user: String(ctx.key), due, amount }]
      },
    })
    .uid('balances')
}

function thirds(stream: Stream<Balance>) {
  return stream
    .keyBy(b => b.amount % 3)
    .window(tumbling('3s'))
    .aggregate(sum('amount'), (amount, { key, window }) => ({ third: key, amount, start: window.start }))
    .uid('thirds')
}

function sums(stream: Stream<Entry>) {
  return stream
    .keyBy('user')
    .window(tumbling('100ms'))
    .aggregate(sum('amount'), (amount, { key, window }) => ({ user: key, amount, start: window.start }))
    .uid('sums')
}

function start() {
  const app = pipeline('ledger')
  return { app, stream: app.source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') }) }
}

function before(): Pipeline {
  const { app, stream } = start()
  thirds(balances(stream)).sink('thirds', print())
  sums(stream).sink('sums', print())
  return app
}

/** Another order, a new reader of what was on its way, one more behind each of the others. */
function after(): Pipeline {
  const { app, stream } = start()
  sums(stream)
    .map(row => row)
    .sink('sums', print())
  stream
    .keyBy('user')
    .window(tumbling('1s'))
    .aggregate(count(), (n, { key }) => ({ isNew: true, key, n }))
    .uid('counts')
    .sink('counts', print())
  const users = balances(stream)
  users
    .keyBy('due')
    .window(tumbling('3s'))
    .aggregate(count(), (n, { key }) => ({ isNew: true, key, n }))
    .uid('dues')
    .sink('dues', print())
  thirds(users).sink('thirds', print())
  return app
}

const WAYS = [
  [1, 3],
  [3, 1],
  [2, 2],
  [4, 2],
] as const
const BACKENDS = ['table', 'segments'] as const

test('D8: other operators and another parallelism at once, with records on their way: what those that were there give is what an undisturbed run gives', {
  timeout: 600_000,
}, async t => {
  const calm = await harness(before(), { parallelism: 2, splits: 2 })
  await new Schedule(calm, seeded(1)).finish()
  const expected = sorted(calm.results())
  assert.ok(expected.length > 40)
  let onTheirWay = 0
  for (let seed = 0; seed < WAYS.length; seed++) {
    const [from, to] = WAYS[seed]!
    const backend = (n: number) => ({ splits: 2, stateBackend: BACKENDS[(seed >> n) % 2]! })
    const random = seeded(seed)
    const h = await harness(before(), { parallelism: from, ...backend(0) })
    const first = new Schedule(h, random)
    await first.steps(10 + seed * 5)
    const one = await readManifest(h.ports.blobs, 'run', (await first.checkpoint()).checkpoint)
    const next = await harness(after(), { parallelism: to, run: 'next', found: one.shape, ...backend(1) })
    await restore(next.topology, one, h.ports.blobs, next.ports)
    const second = new Schedule(next, random)
    await second.steps(seed)
    await second.finish()
    const rows = [...h.results(cutsOf(one)), ...next.results()]
    onTheirWay += one.subtasks.filter(s => s.channelState.length > 0).length
    assert.deepEqual(
      sorted(rows.filter(row => !(row as { isNew?: true }).isNew)),
      expected,
      `seed ${seed}, from ${from} to ${to}`,
    )
    assert.ok(next.results().some(row => row.isNew))
  }
  t.diagnostic(`${onTheirWay} subtasks left channel state behind`)
  assert.ok(onTheirWay > 3)
})
