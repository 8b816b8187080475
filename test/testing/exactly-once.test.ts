import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundedOutOfOrderness, count, ndjson, pipeline, print, tumbling, value } from '../../runtime/index.ts'
import { ExactlyOnceError, expectExactlyOnce, type SimulatedCode } from '../../runtime/testing/index.ts'
import { z } from '../api/example-world.ts'

const View = z.object({ user: z.string(), at: z.number() })
const views = Array.from({ length: 20 }, (_, i) => ({ user: `u${i % 3}`, at: 1_000 + i * 500 }))

/** Counts, and windows that the last record ends. */
function app({ sleep, mayThrow }: Pick<SimulatedCode, 'sleep' | 'mayThrow'>) {
  const app = pipeline('views')
  const source = app.source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
  source
    .mapAsync(async v => {
      await sleep(20)
      mayThrow(v.at)
      return v
    })
    .keyBy('user')
    .process({
      state: { n: value<number>() },
      onRecord(v, ctx) {
        const n = (ctx.state.n.get() ?? 0) + 1
        ctx.state.n.set(n)
        return [{ user: v.user, n }]
      },
    })
    .sink('counts', print())
  source.keyBy('user').window(tumbling('2s')).aggregate(count()).sink('windows', print())
  return app
}

test('a pipeline comes to the same whatever goes wrong, and the report says what did', async () => {
  const report = await expectExactlyOnce(app, { views: [...views, 'no JSON', { user: 'end', at: 1_000_000 }] }, { seeds: 6 })
  assert.equal(report.runs, 6)
  assert.ok(report.rows >= 36, report.text)
  assert.ok(report.hours > 0.1 && Object.keys(report.faults).length > 8 && report.checkpoints.complete! > 5, report.text)
  assert.match(report.text, /^6 runs, .* simulated hours, \d+ faults of \d+ kinds/)
})

test('several shards keep the order that they are told to keep', async () => {
  const shardBy = ({ user }: { user: string }) => user
  const report = await expectExactlyOnce(app, { views }, { seeds: 3, shards: 2, shardBy, parallelism: 3 })
  assert.equal(report.runs, 3)
  await assert.rejects(expectExactlyOnce(app, { views }, { shards: 2 }), /shardBy has to say/)
})

/** Counts outside of its state: each attempt counts again. */
function wrong() {
  const app = pipeline('wrong')
  const seen = new Map<string, number>()
  app
    .source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
    .map(v => {
      seen.set(v.user, (seen.get(v.user) ?? 0) + 1)
      return { user: v.user, n: seen.get(v.user) }
    })
    .sink('counts', print())
  return app
}

test('a pipeline that counts in a variable is found out: with its seed, the faults that it takes, and what happens then', async () => {
  const found = await expectExactlyOnce(wrong, { views }).then(
    () => assert.fail('it was not found'),
    (error: ExactlyOnceError) => error,
  )
  assert.ok(found instanceof ExactlyOnceError)
  assert.match(
    found.message,
    /^seed \d+: the sink 'counts' does not hold what it holds without faults: of 20, \d+ missing, .*too many/,
  )
  assert.match(found.message, /Again: expectExactlyOnce\(app, input, \{ seed: \d+ \}\)/)
  assert.ok(found.faults.length <= 2 && found.trace.length > 20, found.message)
  const lines: string[] = []
  await assert.rejects(expectExactlyOnce(wrong, { views }, { seed: found.seed, trace: line => lines.push(line) }), {
    name: 'ExactlyOnceError',
    message: found.message,
  })
  // As many where no fault is needed: the run that goes back to a checkpoint counts again anyway.
  assert.ok(lines.length >= found.trace.length)
})

test('what shows nothing, or makes no sense, is refused', async () => {
  const late = pipeline('late')
  late
    .source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1h') })
    .keyBy('user')
    .window(tumbling('1h'))
    .aggregate(count())
    .sink('windows', print())
  await assert.rejects(expectExactlyOnce(late, { views }), { name: 'TestKitError', message: /no row comes out of 'late'/ })
  await assert.rejects(expectExactlyOnce(late, { view: [] }), /no source 'view': did you mean views\?/)
  await assert.rejects(expectExactlyOnce(late, { views }, { seeds: 0 }), /seeds is 0/)
})

test('checks of one’s own: what has to be the same, and what rows have to be like', async () => {
  const random = ({ random }: SimulatedCode) => {
    const app = pipeline('random')
    app
      .source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
      .map(v => ({ ...v, lot: random() }))
      .sink('lots', print())
    return app
  }
  const same = ({ lots }: any) => ({ lots: lots.map(({ at }: { at: number }) => at) })
  await expectExactlyOnce(random, { views }, { seeds: 2, same })
  await assert.rejects(expectExactlyOnce(random, { views }, { seeds: 2 }), ExactlyOnceError)
  const check = () => {
    throw new Error('they are wrong')
  }
  await assert.rejects(expectExactlyOnce(random, { views }, { same, check }), /even without faults, they are wrong/)
})

test('a function that waits for something outside is told that nothing is waited for', async () => {
  const app = pipeline('outside')
  app
    .source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
    .mapAsync(() => new Promise<string>(() => {}), { timeout: '1s' })
    .sink('never', print())
  await assert.rejects(expectExactlyOnce(app, { views: views.slice(0, 2) }), /Nothing outside is waited for here/)
})
