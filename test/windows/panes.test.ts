import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createWindowOperator } from '../../runtime/operators/create-window.ts'
import { session, sliding } from '../../runtime/windows/assigners.ts'
import { type WindowOptions, windowStates } from '../../runtime/windows/options.ts'
import { Harness } from '../operators/harness.ts'

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
