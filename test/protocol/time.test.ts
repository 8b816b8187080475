import assert from 'node:assert/strict'
import test from 'node:test'
import { boundedOutOfOrderness, count, ndjson, type Pipeline, pipeline, print, tumbling } from '../../runtime/index.ts'
import { batch, faulty, harness, Lost } from '../engine/harness.ts'
import { Entry, entries, statements } from '../engine/ledger.ts'

const INPUT = entries(30)

function source(name: string) {
  const app = pipeline(name)
  return { app, stream: app.source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') }) }
}

function windows(): Pipeline {
  const { app, stream } = source('windows')
  stream
    .keyBy('user')
    .window(tumbling('5s'))
    .aggregate(count(), (n, { key, window }) => ({ user: key, n, start: window.start }))
    .sink('out', print())
  return app
}

function windowsOf(list: readonly Entry[]): string[] {
  const found = new Map<string, number>()
  for (const e of list) {
    const id = `${e.user}@${Math.floor(e.at / 5000) * 5000}`
    found.set(id, (found.get(id) ?? 0) + 1)
  }
  return [...found].map(([id, n]) => `${id}=${n}`).sort()
}

const shown = (rows: any[]) => rows.map(r => `${r.user}@${r.start}=${r.n}`).sort()

test('A2: timers of one watermark fire in several commits, and a crash between them fires the rest only', async () => {
  for (const timersMax of [1, 2, 3, 7]) {
    for (let crashAt = 1; crashAt < 8; crashAt++) {
      const h = await harness(windows())
      await h.environment(0).deliverSource(() => batch(INPUT, 0, 30))
      let puts = 0
      const ports = faulty(h.ports, ({ name, when }) => {
        if (name === 'log.putIfAbsent' && when === 'before' && ++puts >= crashAt) throw new Lost()
      })
      await h.deliver(h.environment(1, 0, { ports, limits: { timersMax } })).catch(error => assert.ok(error instanceof Lost))
      const next = h.environment(1, 0, { limits: { timersMax } })
      await h.deliver(next)
      assert.deepEqual(shown(h.results()), windowsOf(INPUT), `${timersMax} timers a commit, crash at ${crashAt}`)
      const { fields } = (await next.ready()).head
      assert.equal(fields.watermark, Number.POSITIVE_INFINITY)
      assert.deepEqual(fields.firing, [])
    }
  }
})

test('A2: a commit that is full with the last due timer still says that firing has ended, and passes the watermark on', async () => {
  for (const timersMax of [1, 2, 3, 4, 5]) {
    const h = await harness(statements(), { parallelism: 2 })
    await h.environment(0).deliverSource(() => batch(INPUT, 0, 30))
    const all = [1, 2].flatMap(stage => [0, 1].map(shard => h.environment(stage, shard, { limits: { timersMax } })))
    for (const subtask of all) await h.deliver(subtask)
    for (const subtask of all) {
      const { fields } = (await subtask.ready()).head
      assert.equal(fields.watermark, Number.POSITIVE_INFINITY)
      assert.deepEqual(fields.firing, [])
    }
  }
})

test('processing timers fire by the clock, without input, once', async () => {
  const { app, stream } = source('alarms')
  stream
    .keyBy('user')
    .process({
      onRecord(_e, ctx) {
        ctx.timers.processing.set(2_000_000)
      },
      onTimer: (at, ctx, domain) => [`${ctx.key} ${at} ${domain}`],
    })
    .sink('out', print())
  const h = await harness(app)
  await h.environment(0).deliverSource(() => batch([...INPUT, ...INPUT], 0, 30))
  await h.deliver(h.environment(1))
  const stage = h.environment(1)
  await stage.tick(false)
  assert.deepEqual(h.results(), [])
  h.clock.time = 2_000_000
  await stage.tick(false)
  await h.environment(1).tick(false)
  assert.deepEqual(
    h.results(),
    ['u0', 'u1', 'u2', 'u3', 'u4'].map(u => `${u} 2000000 processing`),
  )
})

test('processing timers that are more than fit in one commit fire in several, and a crash between them fires the rest only', async () => {
  const { app, stream } = source('alarms')
  stream
    .keyBy('user')
    .process({
      onRecord(_e, ctx) {
        for (const at of [1_500_000, 2_000_000]) ctx.timers.processing.set(at)
      },
      onTimer: (at, ctx) => [{ user: ctx.key, at }],
    })
    // what fires sets timers behind it, which are due too
    .process({
      onRecord(row, ctx) {
        ctx.timers.processing.set(row.at)
      },
      onTimer: (at, ctx) => [`${ctx.key} ${at}`],
    })
    .sink('out', print())
  const users = ['u0', 'u1', 'u2', 'u3', 'u4']
  const expected = users.flatMap(u => [`${u} 1500000`, `${u} 2000000`]).sort()
  for (const timersMax of [1, 3, 4, 10]) {
    for (let crashAt = 1; crashAt < 12; crashAt++) {
      const h = await harness(app)
      await h.environment(0).deliverSource(() => batch([...INPUT, ...INPUT], 0, 30))
      const limits = { timersMax }
      await h.deliver(h.environment(1))
      h.clock.time = 2_000_000
      let puts = 0
      const ports = faulty(h.ports, ({ name, when }) => {
        if (name === 'log.putIfAbsent' && when === 'before' && ++puts >= crashAt) throw new Lost()
      })
      await h
        .environment(1, 0, { ports, limits })
        .tick(false)
        .catch(error => assert.ok(error instanceof Lost))
      const next = h.environment(1, 0, { limits })
      await next.tick(false)
      assert.deepEqual(h.results().sort(), expected, `${timersMax} timers a commit, crash at ${crashAt}`)
      assert.equal(next.nextProcessingTimer, Number.POSITIVE_INFINITY)
      if (crashAt === 11) assert.ok(puts >= Math.min(20 / timersMax, 10), `${puts} commits with ${timersMax} timers each`)
    }
  }
})

test('at the end of the input a processing timer that sets itself again fires once more, not for ever', {
  timeout: 120_000,
}, async () => {
  const { app, stream } = source('ticking')
  stream
    .keyBy('user')
    .process({
      onRecord(_e, ctx) {
        ctx.timers.processing.set(ctx.processingTime() + 1000)
      },
      onTimer(at, ctx) {
        ctx.timers.processing.set(at + 1000)
        return [`${ctx.key} ${at}`]
      },
    })
    .sink('out', print())
  const h = await harness(app)
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 30))
  await h.deliver(h.environment(1))
  assert.equal(h.results().length, 5)
})

test('an idle producer holds nobody back, and counts again once it sends', async () => {
  const h = await harness(windows(), { splits: 2 })
  const [p0, p1, stage] = [h.environment(0, 0), h.environment(0, 1), h.environment(1)]
  await p0.deliverSource(() => batch(INPUT, 0, 20))
  await p1.deliverSource(() => batch(INPUT, 0, 5))
  await h.deliver(stage)
  const before = (await stage.ready()).working.watermark
  assert.equal(before, INPUT[4]!.at - 1001)
  await p1.tick(true)
  await h.deliver(stage)
  assert.equal((await stage.ready()).working.watermark, INPUT[19]!.at - 1001)
  await p1.deliverSource(() => batch(INPUT, 5, 25))
  await p0.deliverSource(() => batch(INPUT, 20, 22))
  await h.deliver(stage)
  assert.equal((await stage.ready()).working.watermark, INPUT[21]!.at - 1001)
})

test('a stage whose producers are all idle says so, with the watermark that it had reached', async () => {
  const h = await harness(statements(), { splits: 2, parallelism: 2 })
  const sources = [h.environment(0, 0), h.environment(0, 1)]
  for (const source of sources) await source.deliverSource(() => batch(INPUT, 0, 10))
  for (const source of sources) await source.tick(true)
  const last = h.environment(2)
  for (const subtask of [h.environment(1, 0), h.environment(1, 1), last]) await h.deliver(subtask)
  const { fields } = (await last.ready()).head
  const producers = [0, 1].map(shard => h.topology.producer(1, shard))
  assert.deepEqual([...fields.idle].sort(), producers)
  assert.deepEqual(
    [...fields.watermarks].sort(([a], [b]) => a - b),
    producers.map(p => [p, INPUT[9]!.at - 1001]),
  )
})

test('what a frozen watermark holds back comes out the same from a cold environment for each delivery', async () => {
  for (const step of [1, 4, 30]) {
    const h = await harness(windows())
    for (let i = 0; i < 30; i += step) {
      await h.environment(0).deliverSource(() => batch(INPUT, i, Math.min(30, i + step)))
      await h.deliver(h.environment(1))
    }
    assert.deepEqual(shown(h.results()), windowsOf(INPUT))
  }
})
