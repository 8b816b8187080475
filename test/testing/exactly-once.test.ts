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
  assert.match(report.text, /^6 runs, .* simulated hours, \d+ faults of \d+ kinds, .* rows and 1 dead letter each time$/)
  assert.equal(report.deadLetters, 1)
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
  // What the functions of such a pipeline do is said, and the lines are those of faults: not the steps of a run without any, nor those of who has nothing to do any more.
  assert.match(
    found.message,
    /\nUsually a function keeps something outside of its state \(a variable, .*: declare it in `state`\)/,
  )
  if (found.faults.length === 0) assert.match(found.message, /\nerror\.trace has the \d+ lines of what happens then\.$/)
  else assert.doesNotMatch(found.message.split('\n').at(-1)!, / (checkpoint#\d+|execution:) /)
  // As many where no fault is needed: the run that goes back to a checkpoint counts again anyway.
  assert.ok(lines.length >= found.trace.length)
})

test('what takes a fault is told with the last of what happens, as far as anything does', async () => {
  /** Goes on from what it remembers instead of its state, which nobody else knows. */
  const remembers = () => {
    const app = pipeline('remembers')
    const seen = new Map<string, number>()
    app
      .source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
      .keyBy('user')
      .process({
        onRecord(v) {
          seen.set(v.user, (seen.get(v.user) ?? 0) + 1)
          return [{ user: v.user, n: seen.get(v.user)! }]
        },
      })
      .sink('counts', print())
    return app
  }
  const found = await expectExactlyOnce(remembers, { views }).then(
    () => assert.fail('it was not found'),
    (error: ExactlyOnceError) => error,
  )
  assert.ok(found.isDifference && found.faults.length > 0, found.message)
  for (const fault of found.faults) assert.match(found.message, new RegExp(`\\n +[\\d.]+ ! ${fault}`))
  assert.match(found.message, /\nWhat happens around the faults, and at last \(of \d+ lines; error\.trace has them all\):\n/)
  assert.doesNotMatch(found.message.split('\n').at(-1)!, / (checkpoint#\d+|execution:) /)
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
  await assert.rejects(
    expectExactlyOnce(late, { views: ['no JSON'] }),
    / 1 of 1 records are refused, the first by 'views': not JSON: .* A stream has no end/,
  )
  await assert.rejects(expectExactlyOnce(late, {}), /\. 'views' was given no records\. A stream has no end/)
  const broken = pipeline('broken')
  broken
    .source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
    .map(v => (v.user as any).missing.length)
    .sink('lengths', print())
  await assert.rejects(
    expectExactlyOnce(broken, { views: views.slice(0, 2) }),
    /Functions failed on 2 of 2 records each time, on the first with: .*Cannot read properties of undefined/,
  )
  await assert.rejects(expectExactlyOnce(late, { views }, { seeds: 0 }), /seeds is 0/)
  const each = pipeline('each')
  each
    .source('views', ndjson(View), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
    .map(v => v.user)
    .sink('users', print())
  const two = { views: views.slice(0, 2) }
  await assert.rejects(
    expectExactlyOnce(each, two, { same: ({ user }) => ({ user }) }),
    /the pipeline has no sink 'user': did you mean users\?/,
  )
  await assert.rejects(expectExactlyOnce(each, two, { same: () => ({}) }), /same gave nothing that could be compared/)
  await assert.rejects(
    expectExactlyOnce(each, two, { same: () => undefined as never }),
    /same gave nothing that could be compared/,
  )
  await assert.rejects(
    expectExactlyOnce(each, two, { check: ({ user }) => assert.ok(user) }),
    /the pipeline has no sink 'user': did you mean users\?/,
  )
  await assert.rejects(
    expectExactlyOnce(each, two, { check: (async () => assert.fail('too late')) as never }),
    /check gave a promise: it is called for each run, and answers at once/,
  )
  await assert.rejects(
    expectExactlyOnce(late, { views }, { checks: () => {} } as never),
    /expectExactlyOnce has no option 'checks': did you mean check\?/,
  )
  await assert.rejects(expectExactlyOnce(late, { views }, { seed: -1 }), /seed is -1/)
  await assert.rejects(expectExactlyOnce(late, { views }, { parallelism: 0 }), {
    name: 'TestKitError',
    message: /parallelism is 0/,
  })
  await assert.rejects(expectExactlyOnce(late, { views: 'x' } as never), /'views' is to be given an array of records, not 'x'/)
  for (const nothing of [undefined, views])
    await assert.rejects(expectExactlyOnce(late, nothing as never), /the input is the records of each source/)
  await assert.rejects(
    expectExactlyOnce(late, { views }, { shards: 2, shardBy: 'user' as never }),
    /shardBy is a function, such as record => record.user_id, not 'user'/,
  )
  await assert.rejects(
    expectExactlyOnce((() => ({ late })) as never, { views }),
    /a pipeline is needed, .* not an object with late/,
  )
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
