import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createWindowOperator } from '../../runtime/operators/create-window.ts'
import { session, sliding, tumbling, type WindowAssigner } from '../../runtime/windows/assigners.ts'
import { type WindowOptions, windowStates } from '../../runtime/windows/options.ts'
import { Harness } from '../operators/harness.ts'
import { collect, withWindow } from './drive.ts'

const MINUTE = 60_000

/** A sum that counts its own work. */
function counted() {
  const calls = { add: 0, merge: 0 }
  const aggregate = {
    createAccumulator: () => 0,
    add: (acc: number, value: number) => {
      calls.add++
      return acc + value
    },
    merge: (a: number, b: number) => {
      calls.merge++
      return a + b
    },
    getResult: (acc: number) => acc,
  }
  return { calls, aggregate }
}

async function open(options: WindowOptions) {
  return Harness.open(createWindowOperator(options), windowStates(options))
}

test('a record costs the same whatever size / slide: one add, one entry, at most one timer', async () => {
  for (const ratio of [1, 30, 1800]) {
    const { calls, aggregate } = counted()
    const harness = await open({ name: 'w', assigner: sliding(ratio * MINUTE, MINUTE), aggregate })
    for (let i = 0; i < 1000; i++) harness.record(1, i * 50)
    assert.equal(calls.add, 1000)
    assert.equal(calls.merge, 0)
    assert.equal(harness.operator.eventTimers.changes.length, 1)
    assert.equal([...harness.state.entries.values()][0]!.values[0].entries.size, 1)
  }
})

test('a window merges the panes that have records only', async () => {
  const { calls, aggregate } = counted()
  const harness = await open({ name: 'w', assigner: sliding(1000 * MINUTE, MINUTE), aggregate })
  harness.record(1, 0)
  harness.record(2, 500 * MINUTE)
  harness.watermark(Number.POSITIVE_INFINITY)
  assert.equal(harness.out.length, 1500)
  assert.equal(calls.merge, 2000)
  assert.deepEqual(harness.values.slice(498, 502), [1, 1, 3, 3])
})

test('a late record counts in those of its windows that have not fired, and they fire once', async () => {
  const harness = await open({
    name: 'w',
    assigner: sliding(10, 5),
    late: { id: 'late' },
    reduce: (a: number, b: number) => a + b,
    apply: (sum, { window }) => [window.start, sum],
  })
  harness.record(1, 7)
  harness.watermark(9) // [0, 10) has fired
  harness.record(2, 6) // late for [0, 10), not for [5, 15)
  harness.record(4, 3) // [-5, 5) and [0, 10) have both fired
  harness.watermark(Number.POSITIVE_INFINITY)
  assert.deepEqual(harness.values, [
    [0, 1],
    [5, 3],
  ])
  assert.deepEqual(harness.side('late'), [4])
})

test('late records without a side output are counted', async () => {
  for (const assigner of [sliding(10, 5), session(5)]) {
    const operator = createWindowOperator({ name: 'w', assigner, reduce: (a: number) => a })
    const harness = await Harness.open(operator, [{ name: 'panes', primitive: 'map', load: 'all' }])
    harness.watermark(100)
    harness.record(1, 50)
    assert.equal(operator.lateDropped, 1)
  }
})

test('windows that end together fire by key, not by arrival', async () => {
  const harness = await open({ name: 'w', assigner: sliding(10, 5), reduce: (a: number, b: number) => a + b })
  for (const key of ['c', 'a', 2, 'b', 10]) harness.record(1, 7, key)
  harness.watermark(9)
  assert.deepEqual(
    harness.out.map(r => r.key),
    [2, 10, 'a', 'b', 'c'],
  )
})

// Moving the timer with every record would write two timer changes to the log for each of them.
test('a session that grows leaves its timer where it is', async () => {
  const { aggregate } = counted()
  const harness = await open({ name: 'w', assigner: session('10m'), aggregate })
  for (let i = 0; i < 1000; i++) harness.record(1, i * 1000)
  assert.equal(harness.operator.eventTimers.changes.length, 1)
  harness.watermark(Number.POSITIVE_INFINITY)
  assert.deepEqual(harness.out, [{ value: 1000, timestamp: 999_000 + 600_000 - 1, key: 'k' }])
})

interface Unlogged {
  readonly assigner: WindowAssigner<number>
  readonly events: readonly { readonly advance: number; readonly key: string | number; readonly at: number }[]
  readonly yieldEvery: number
  /** Commits. */
  readonly logAfter: number
}

const arrival = fc.record({
  advance: fc.integer({ min: -10, max: 12 }),
  key: fc.constantFrom('x', 'y', 3, 20),
  at: fc.integer({ min: 0, max: 30 }),
})

// A task of a backfill keeps lists of keys in the place of timers until its state outgrows its memory, which may be in the middle of a window.
test('what logs nothing fires the same in the same order, wherever commits end, and when it begins to log', async () => {
  const assigners = [sliding(10, 5), sliding(12, 1), sliding(9, 6), sliding(4, 10), tumbling(7)]
  const some = fc.record({
    assigner: fc.constantFrom(...assigners),
    events: fc.array(arrival, { maxLength: 40, size: 'max' }),
    yieldEvery: fc.integer({ min: 1, max: 9 }),
    logAfter: fc.integer({ min: 0, max: 30 }),
  })
  const run = async ({ assigner, events, yieldEvery, logAfter }: Unlogged, logs: boolean) => {
    const harness = await open({ name: 'w', assigner, aggregate: collect(true), apply: withWindow })
    const { operator } = harness
    if (!logs) operator.leaveUnlogged()
    let asked = 0
    let commits = 0
    harness.shouldYield = () => !logs && ++asked % yieldEvery === 0
    const commit = () => {
      if (!logs && commits++ === logAfter) operator.logAll()
    }
    const watermark = async (to: number) => {
      harness.watermark(to)
      while (operator.yielded) {
        commit()
        operator.resume()
        await harness.drain()
      }
      commit()
    }
    let now = 0
    for (const [id, { advance, key, at }] of events.entries()) {
      harness.record(id, now + at, key)
      if (advance > 0) await watermark((now += advance))
    }
    await watermark(Number.POSITIVE_INFINITY)
    assert.equal(operator.eventTimers.size, 0)
    return harness.log
  }
  await fc.assert(fc.asyncProperty(some, async each => assert.deepEqual(await run(each, false), await run(each, true))))
})

test('what throws at a firing names its key, with a log or without', async () => {
  const aggregate = { ...counted().aggregate, merge: () => assert.fail('no sum') }
  for (const logs of [true, false]) {
    const harness = await open({ name: 'w', assigner: sliding(10, 5), aggregate })
    if (!logs) harness.operator.leaveUnlogged()
    harness.record(1, 7, 'someone')
    assert.throws(() => harness.watermark(9), { name: 'UserCodeError', key: 'someone' })
  }
})
