import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planPhysical } from '../../runtime/graph/planner.ts'
import {
  boundedOutOfOrderness,
  count,
  list,
  map,
  ndjson,
  pipeline,
  print,
  reducing,
  sideOutput,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { Subtask } from '../../runtime/stage/subtask.ts'
import { openCollector } from '../../runtime/testing/collector.ts'
import {
  alwaysRedeliver,
  crashAfter,
  openTestPipeline,
  type TestFault,
  TestKitError,
  throttle,
  zombies,
} from '../../runtime/testing/index.ts'
import { tapped } from '../../runtime/testing/taps.ts'
import { z } from '../api/example-world.ts'

const Sale = z.object({ user: z.string(), item: z.string(), amount: z.number(), at: z.number() })
type Sale = z.infer<typeof Sale>

const tooLate = sideOutput<Sale>('late')
const large = sideOutput<{ user: string }>('large')

/** A process with all kinds of state, a window with late data, a side output that nobody reads. */
function shop() {
  const app = pipeline('shop')
  const sales = app.source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('1s') })
  const spent = sales
    .keyBy('user')
    .process({
      state: {
        total: value<number>(),
        items: map<string, number>(),
        last: list<number>(),
        most: reducing<number>((a, b) => Math.max(a, b)),
      },
      onRecord(s, ctx) {
        const total = (ctx.state.total.get() ?? 0) + s.amount
        ctx.state.total.set(total)
        ctx.state.items.set(s.item, (ctx.state.items.get(s.item) ?? 0) + s.amount)
        ctx.state.last.add(s.amount)
        ctx.state.most.add(s.amount)
        ctx.timers.event.set(s.at + 10_000)
        ctx.timers.processing.set(ctx.processingTime() + 60_000)
        if (s.amount > 100) ctx.output(large, { user: s.user })
        return [{ user: s.user, total }]
      },
      onTimer: (at, { key }, domain) => [{ user: key, total: domain === 'event' ? at : -at }],
    })
    .uid('spent')
    .sink('spent', print())
  const perItem = sales
    .keyBy('item')
    .window(tumbling('10s'))
    .lateTo(tooLate)
    .aggregate(count(), (n, { key, window }) => ({ item: key, n, until: window.end }))
    .name('per item')
    .sink('items', print())
  return { app, sales, spent, perItem }
}

const NOW = Date.UTC(2025, 0, 1)

test('what is sent comes out; what each place is given is seen, also where nobody reads it', async () => {
  const { app, sales, spent, perItem } = shop()
  await using t = await openTestPipeline(app)
  await t.send(sales, [
    { user: 'ann', item: 'tea', amount: 3, at: 1_000 },
    { user: 'bob', item: 'tea', amount: 200, at: 2_000 },
  ])
  await t.send('sales', ['no JSON', { user: 'ann' }])
  assert.deepEqual(await t.results(spent), [
    { user: 'ann', total: 3 },
    { user: 'bob', total: 200 },
  ])
  assert.deepEqual(await t.sideOutput(large), [{ user: 'bob' }])
  const totals: { readonly user: string; readonly total: number }[] = await t.results(spent)
  assert.equal(totals.length, 2)
  // @ts-expect-error the sink's type is known
  const names: string[] = await t.results(spent)
  assert.equal(names.length, 2)
  const letters = await t.deadLetters()
  assert.deepEqual(
    letters.map(({ source, position }) => [source, position]),
    [
      ['sales', 'split 0, record 3'],
      ['sales', 'split 0, record 4'],
    ],
  )
  assert.match(letters[0]!.reason, /^not JSON/)
  assert.equal(Buffer.from(letters[0]!.raw).toString(), 'no JSON')
  assert.deepEqual(await t.results(perItem), [])
  await t.watermark(9_999)
  assert.deepEqual(await t.records(perItem), [{ value: { item: 'tea', n: 2, until: 10_000 }, timestamp: 9_999, key: 'tea' }])
  assert.equal(await t.currentWatermark(), 9_999)
  await t.send('sales', [{ user: 'ann', item: 'tea', amount: 1, at: 3_000 }])
  assert.deepEqual(await t.sideOutput(tooLate), [{ user: 'ann', item: 'tea', amount: 1, at: 3_000 }])
  assert.deepEqual(await t.counts(), { events: 5, deadLetters: 2, late: 0, results: 4 })
})

test('state and timers of a key are those of the last commit; the end fires all of them', async () => {
  const { app } = shop()
  await using t = await openTestPipeline(app, { parallelism: 3 })
  await t.send('sales', [
    { user: 'ann', item: 'tea', amount: 3, at: 1_000 },
    { user: 'ann', item: 'pie', amount: 2, at: 1_500 },
    { user: 'ann', item: 'tea', amount: 1, at: 1_000 },
  ])
  const state = await t.state('spent', 'ann')
  assert.deepEqual(state, {
    total: 6,
    items: new Map([
      ['pie', 2],
      ['tea', 4],
    ]),
    last: [3, 2, 1],
    most: 3,
  })
  assert.deepEqual(await t.state('spent', 'bob'), {})
  assert.deepEqual(await t.timers('spent', 'ann'), { event: [11_000, 11_500], processing: [NOW + 60_000] })
  assert.equal((await t.timers('per item', 'tea')).event.length, 1)
  await assert.rejects(t.state('spend', 'ann'), { name: 'TestKitError', message: /no operator .* 'spend': did you mean spent\?/ })
  await t.end()
  assert.deepEqual((await t.results('spent')).slice(3), [
    { user: 'ann', total: 11_000 },
    { user: 'ann', total: 11_500 },
    { user: 'ann', total: -(NOW + 60_000) },
  ])
  await assert.rejects(t.send('sales', []), /has ended/)
})

test('broadcast state is read without a key, and what a key has beside it with one', async () => {
  const app = pipeline('limits')
  const sales = app.source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('1s') })
  sales
    .keyBy('user')
    .connect(sales.filter(s => s.user === 'limit').broadcast())
    .process({
      state: { last: value<number>() },
      broadcast: { limits: map<string, number>() },
      onRecord(s, ctx) {
        ctx.state.last.set(s.amount)
        return s.amount > (ctx.broadcast.limits.get(s.item) ?? Number.POSITIVE_INFINITY) ? [s.user] : []
      },
      onBroadcast: (s, ctx) => ctx.broadcast.limits.set(s.item, s.amount),
    })
    .uid('limits')
    .sink('above', print())
  await using t = await openTestPipeline(app, { parallelism: 2 })
  await t.send('sales', [{ user: 'limit', item: 'tea', amount: 5, at: 1_000 }])
  await t.send('sales', [{ user: 'ann', item: 'tea', amount: 6, at: 2_000 }])
  assert.deepEqual(await t.results('above'), ['ann'])
  assert.deepEqual(await t.state('limits'), { limits: new Map([['tea', 5]]) })
  assert.deepEqual(await t.state('limits', 'ann'), { last: 6 })
})

test('the clock stands still until it is moved, and timers fire one after the other', async () => {
  const app = pipeline('ticks')
  app
    .source('names', ndjson(z.object({ name: z.string() })), { time: () => 0, watermark: boundedOutOfOrderness('0s') })
    .keyBy('name')
    .process({
      onRecord(_, ctx) {
        ctx.timers.processing.set(ctx.processingTime() + 60_000)
      },
      onTimer(at, ctx) {
        ctx.timers.processing.set(ctx.processingTime() + 60_000)
        return [(at - NOW) / 60_000]
      },
    })
    .sink('out', print())
  await using t = await openTestPipeline(app, { now: NOW })
  await t.send('names', [{ name: 'a' }])
  await t.advance('59s')
  assert.deepEqual(await t.results('out'), [])
  await t.advance('1s')
  assert.deepEqual(await t.results('out'), [1])
  await t.advance('10m')
  assert.deepEqual(await t.results('out'), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  assert.equal(t.now, NOW + 11 * 60_000)
})

test('watermarks by hand: no record moves them, and each split has its own', async () => {
  const { app } = shop()
  await using t = await openTestPipeline(app, { watermarks: 'by hand', splits: 2 })
  const sale = { user: 'ann', item: 'tea', amount: 3 }
  await t.send('sales', [{ ...sale, at: 50_000 }], { split: 1 })
  await t.send('sales', [{ ...sale, at: 1_000 }])
  await t.watermark(20_000, { source: 'sales', split: 1 })
  assert.deepEqual(await t.results('items'), [])
  await t.watermark(20_000, { split: 0 })
  assert.deepEqual(await t.results('items'), [{ item: 'tea', n: 1, until: 10_000 }])
  await assert.rejects(t.send('sales', [], { split: 2 }), /there is no split 2: there are 2/)
})

test('a silent split becomes idle when time has passed', async () => {
  const app = pipeline('idle')
  app
    .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('0s'), idleAfter: '1m' })
    .keyBy('item')
    .window(tumbling('10s'))
    .aggregate(count())
    .sink('out', print())
  await using t = await openTestPipeline(app, { splits: 2 })
  await t.send('sales', [
    { user: 'a', item: 'tea', amount: 1, at: 1_000 },
    { user: 'a', item: 'tea', amount: 1, at: 30_000 },
  ])
  await t.advance('30s')
  await t.send('sales', [{ user: 'a', item: 'tea', amount: 1, at: 31_000 }])
  assert.deepEqual(await t.results('out'), [])
  await t.advance('30s')
  assert.deepEqual(await t.results('out'), [1])
})

test('a snapshot is a value: any number of pipelines go on from it', async () => {
  const { app } = shop()
  const sale = { user: 'ann', item: 'tea', amount: 3, at: 1_000 }
  await using first = await openTestPipeline(app, { parallelism: 2 })
  await first.send('sales', [sale])
  const snapshot = await first.snapshot()
  await first.send('sales', [sale])
  assert.equal((await first.state('spent', 'ann')).total, 6)
  for (let i = 0; i < 2; i++) {
    await using second = await openTestPipeline(app, { parallelism: 2, from: snapshot })
    assert.deepEqual(await second.results('spent'), [])
    assert.equal((await second.state('spent', 'ann')).total, 3)
    await second.send('sales', [{ ...sale, amount: 10 }])
    assert.deepEqual(await second.results('spent'), [{ user: 'ann', total: 13 }])
    const again = await second.snapshot()
    assert.equal(again.checkpoint, 2)
    await using third = await openTestPipeline(app, { parallelism: 2, from: again })
    await third.end()
    assert.deepEqual(await third.results('items'), [{ item: 'tea', n: 2, until: 10_000 }])
  }
  await assert.rejects(openTestPipeline(app, { from: snapshot }), {
    name: 'StateMismatchError',
    message: /the snapshot.*parallelism/,
  })
})

/** The same input under faults, with a checkpoint and a restart in the middle. */
async function outcome(faults: readonly TestFault[]) {
  const { app } = shop()
  await using t = await openTestPipeline(app, { parallelism: 2, batchSize: 3, faults })
  const sales = Array.from({ length: 20 }, (_, i) => ({ user: `u${i % 3}`, item: `i${i % 2}`, amount: i * 10, at: i * 1_000 }))
  await t.send('sales', sales.slice(0, 9))
  await t.snapshot()
  await t.send('sales', sales.slice(9, 14))
  await t.restart()
  await t.advance('2m')
  await t.send('sales', [...sales.slice(14), { user: 'u0', item: 'i0', amount: 1, at: 0 }])
  await t.end()
  const sorted = (rows: unknown[]) => rows.map(row => JSON.stringify(row)).sort()
  return {
    spent: sorted(await t.results('spent')),
    items: sorted(await t.results('items')),
    late: await t.sideOutput(tooLate),
    large: sorted(await t.sideOutput(large)),
    counts: await t.counts(),
  }
}

const FAULTS: Readonly<Record<string, readonly TestFault[]>> = {
  'redelivered batches': [alwaysRedeliver],
  zombies: [zombies],
  'crashes before anything is sent': [crashAfter('process')],
  'crashes when all is sent': [crashAfter('send')],
  'crashes after the commit': [crashAfter('commit')],
  'throttled calls': [throttle(0.2)],
  'all of them': [alwaysRedeliver, zombies, crashAfter('process'), crashAfter('send'), crashAfter('commit'), throttle(0.1)],
}

for (const [name, faults] of Object.entries(FAULTS))
  test(`${name} change nothing`, async () => {
    const expected = await outcome([])
    assert.equal(expected.late.length, 1)
    assert.ok(expected.spent.length > 40 && expected.large.length === 9)
    assert.deepEqual(await outcome(faults), expected)
  })

test('what a function throws is thrown by the call that led to it, and the batch is tried again with the next one', async () => {
  const app = pipeline('throws')
  let broken = true
  app
    .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('0s') })
    .map(s => {
      if (broken) throw new RangeError('no such item')
      return s.amount
    })
    .sink('out', print())
  await using t = await openTestPipeline(app)
  const sale = { user: 'a', item: 'tea', amount: 1, at: 1_000 }
  await assert.rejects(t.send('sales', [sale]), { name: 'UserCodeError', message: /RangeError: no such item/ })
  assert.deepEqual(await t.results('out'), [])
  broken = false
  await t.send('sales', [])
  assert.deepEqual(await t.results('out'), [1])
})

test('a call that takes too long fails when the clock says so, and one that fails is tried again', async () => {
  const app = pipeline('calls')
  let calls = 0
  app
    .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('0s') })
    .mapAsync(
      async (s, { signal }) => {
        if (calls++ === 0) return new Promise<number>((_, reject) => signal.addEventListener('abort', reject))
        return s.amount
      },
      { timeout: '1h', retries: 1, backoff: { initial: '1h', max: '1h', jitter: 0 } },
    )
    .sink('out', print())
  await using t = await openTestPipeline(app)
  const sent = t.send('sales', [{ user: 'a', item: 'tea', amount: 1, at: 1_000 }])
  while (calls === 0) await new Promise(resolve => setImmediate(resolve))
  await t.advance('1h')
  await t.advance('1h')
  await sent
  assert.deepEqual(await t.results('out'), [1])
})

test('listening to side outputs makes no other stages', () => {
  const { app } = shop()
  for (const parallelism of [1, 4]) {
    const plain = planPhysical(app.graph(), { parallelism })
    const { graph } = tapped(app.graph(), openCollector(), 'by strategy')
    const listened = planPhysical(graph, { parallelism })
    assert.deepEqual(
      listened.stages.map(s => [s.id, s.parallelism]),
      plain.stages.map(s => [s.id, s.parallelism]),
    )
  }
})

test('a context that is used when its call has returned is refused: by then its key would be another one', async () => {
  const kept: any[] = []
  const app = pipeline('kept')
  app
    .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('0s') })
    .keyBy('user')
    .process({
      state: { total: value<number>(), items: list<string>(), each: map<string, number>() },
      onRecord(sale, ctx) {
        ctx.state.total.set(sale.amount)
        ctx.timers.event.set(sale.at)
        kept.push(ctx)
      },
      onTimer(_at, ctx) {
        kept.push(ctx)
        return [ctx.key]
      },
    })
    .name('op')
    .sink('out', print())
  await using t = await openTestPipeline(app)
  await t.send('sales', [{ user: 'ann', item: 'tea', amount: 3, at: 1_000 }])
  await t.watermark(2_000)
  assert.equal(kept.length, 2)
  for (const ctx of kept) {
    for (const late of [
      () => ctx.state.total.set(999),
      () => ctx.state.total.get(),
      () => ctx.state.items.add('x'),
      () => ctx.state.each.set('x', 1),
      () => ctx.timers.event.set(5_000),
      () => ctx.key,
    ])
      assert.throws(late, {
        name: 'StateError',
        message: /^the context of operator 'process-\w+' was used when the call .* mapAsync/,
      })
  }
  assert.deepEqual(await t.state('op', 'ann'), { total: 3 })
})

test('what makes no sense is refused by name', async () => {
  const { app } = shop()
  await using t = await openTestPipeline(app)
  await assert.rejects(t.send('sale', []), { name: 'TestKitError', message: /no source 'sale': did you mean sales\?/ })
  await assert.rejects(t.results('item'), /no sink 'item': did you mean items\?/)
  await assert.rejects(t.watermark(Number.NaN), /NaN is no time/)
  await assert.rejects(t.advance('-1s'), /time does not go back/)
  await assert.rejects(
    t.send('sales', { user: 'ann' } as never),
    /'sales' is to be given an array of records, not an object with user/,
  )
  await assert.rejects(t.sideOutput('late' as never), /goes by what sideOutput\('name'\) gave, not by late/)
  await assert.rejects(t.state('spent'), /'spent' has no broadcast state, but state of each key: state\('spent', key\)/)
  await assert.rejects(t.timers('spent', undefined as never), /timers of 'spent' are a key's: timers\('spent', key\)/)
  await assert.rejects(openTestPipeline(app, { splits: 0 }), /splits is 0/)
  await assert.rejects(openTestPipeline(app, { splits: '2' as never }), /splits is '2': it is a whole number/)
  await assert.rejects(openTestPipeline(app, { seed: 'x' as never }), /seed is 'x'/)
  await assert.rejects(
    openTestPipeline(app, { from: t.snapshot() as never }),
    /from is no snapshot, but a promise \(of a call without await\?\)/,
  )
  await assert.rejects(t.send('sales', [{ user: 'ann', amount: 1n }] as never), {
    name: 'TestKitError',
    message: /'.*sales.*' was given a record that is no JSON: .*BigInt/,
  })
  await assert.rejects(openTestPipeline(app, { split: 2 } as never), {
    name: 'TestKitError',
    message: /^openTestPipeline has no option 'split': did you mean splits\?$/,
  })
  await assert.rejects(t.send('sales', [], { splits: 1 } as never), /send has no option 'splits': did you mean split\?/)
  await assert.rejects(t.watermark(1, { sources: 'sales' } as never), /watermark has no option 'sources'/)
  await assert.rejects(openTestPipeline(app, { parallelism: 0 }), /parallelism is 0/)
  await assert.rejects(
    openTestPipeline(app, { watermarks: 'hand' as never }),
    /watermarks is 'hand': there is 'by strategy' and 'by hand'/,
  )
  await assert.rejects(openTestPipeline(app, { sinks: { items: 'x' as never } }), /sinks: 'items' is given no sink/)
  const read = JSON.parse(JSON.stringify(await t.snapshot()))
  await assert.rejects(openTestPipeline(app, { from: read }), { name: 'TestKitError', message: /from is no snapshot/ })
  await assert.rejects(
    openTestPipeline(shop() as never),
    /a pipeline is needed, .* not an object with app, sales, spent, perItem/,
  )
  // What is switched on in vain would show what it does not.
  await assert.rejects(openTestPipeline(app, { faults: zombies as never }), /faults is a list, such as \[alwaysRedeliver\]/)
  await assert.rejects(
    openTestPipeline(app, { faults: [crashAfter as never] }),
    /the function crashAfter is no fault: there are always/,
  )
  assert.throws(() => t.faults([zombies] as never), {
    name: 'TestKitError',
    message: /an array is no fault: .*each an argument of its own/,
  })
  await assert.rejects(openTestPipeline(app, { sinks: { none: print() } }), /no sink 'none'/)
  assert.throws(() => crashAfter('send twice' as never), TestKitError)
  assert.throws(() => throttle(1), /no share/)
})

/** How often its function is called for 20 records, and what comes out. */
async function callsUnder(faults: readonly TestFault[]) {
  let calls = 0
  const app = pipeline('calls')
  app
    .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('0s') })
    .keyBy('user')
    .map(s => ({ amount: s.amount, call: ++calls }))
    .sink('out', print())
  await using t = await openTestPipeline(app, { batchSize: 5, faults })
  await t.send(
    'sales',
    Array.from({ length: 20 }, (_, i) => ({ user: `u${i % 3}`, item: 'tea', amount: i, at: i * 1_000 })),
  )
  const rows = await t.results<{ amount: number; call: number }>('out')
  return {
    calls,
    amounts: rows.map(row => row.amount).sort((a, b) => a - b),
    numbers: rows.map(row => row.call).sort((a, b) => a - b),
  }
}

test('faults happen: functions run again, and one that counts in a variable is found out', async () => {
  const inOrder = Array.from({ length: 20 }, (_, i) => i)
  const calm = await callsUnder([])
  assert.deepEqual(calm, { calls: 20, amounts: inOrder, numbers: inOrder.map(i => i + 1) })
  for (const fault of [zombies, crashAfter('process'), crashAfter('send'), throttle(0.9)]) {
    const { calls, amounts, numbers } = await callsUnder([fault])
    assert.ok(calls > 24, `${calls} calls under ${fault.kind}`)
    assert.deepEqual(amounts, inOrder)
    assert.notDeepEqual(numbers, calm.numbers)
  }
  // What is committed is not done again, however often it comes, and whoever is told.
  for (const fault of [alwaysRedeliver, crashAfter('commit')]) assert.deepEqual(await callsUnder([fault]), calm)
})

test('who is given a batch, and how often, is what each fault says', async t => {
  /** Of each batch of the stage behind the stream: the environments that got it, one after the other, by letter. */
  async function environments(...faults: readonly TestFault[]) {
    const spy = t.mock.method(Subtask.prototype, 'deliver')
    const app = pipeline('once')
    app
      .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('0s') })
      .keyBy('user')
      .reduce((_, next) => next)
      .sink('out', print())
    await using kit = await openTestPipeline(app, { faults })
    for (let i = 0; i < 3; i++) await kit.send('sales', [{ user: 'ann', item: 'tea', amount: i, at: i * 1_000 }])
    spy.mock.restore()
    const batches = new Map<unknown, unknown[]>()
    for (const { this: environment, arguments: args } of spy.mock.calls)
      batches.set(args[0], [...(batches.get(args[0]) ?? []), environment])
    return [...batches.values()].map(all => {
      const different = [...new Set(all)]
      return all.map(environment => 'abcd'[different.indexOf(environment)]).join('')
    })
  }
  assert.deepEqual(await environments(), ['a', 'a', 'a'])
  assert.deepEqual(await environments(alwaysRedeliver), ['aab', 'aab', 'aab'])
  // The one that was frozen loses, looks at the log, and has nothing to do.
  assert.deepEqual(await environments(zombies), ['aba', 'aba', 'aba'])
  for (const fault of [crashAfter('process'), crashAfter('send'), crashAfter('commit')])
    assert.deepEqual(await environments(fault), ['ab', 'ab', 'ab'], fault.kind)
})

test('functions that draw lots: whatever comes out, wherever, is of the one attempt that was committed', async () => {
  for (const fault of [zombies, crashAfter('send'), crashAfter('commit'), alwaysRedeliver]) {
    let lots = 0
    const app = pipeline('lots')
    const drawn = app
      .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('0s') })
      .map(s => ({ user: s.user, amount: s.amount, lot: ++lots }))
    drawn.sink('here', print())
    drawn
      .keyBy('user')
      .reduce((_, next) => next)
      .sink('there', print())
    await using t = await openTestPipeline(app, { parallelism: 2, batchSize: 3, faults: [fault] })
    await t.send(
      'sales',
      Array.from({ length: 12 }, (_, i) => ({ user: `u${i % 4}`, item: 'tea', amount: i, at: i * 1_000 })),
    )
    const byAmount = async (sink: string) => (await t.results(sink)).sort((a, b) => a.amount - b.amount)
    const here = await byAmount('here')
    assert.equal(here.length, 12)
    assert.deepEqual(await byAmount('there'), here, fault.kind)
  }
})
