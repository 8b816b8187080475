import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createWindowOperator } from '../../runtime/operators/create-window.ts'
import { WindowOperator } from '../../runtime/operators/window.ts'
import { sliding, tumbling } from '../../runtime/windows/assigners.ts'
import { type WindowOptions, windowPlan, windowStates } from '../../runtime/windows/options.ts'
import { Harness } from '../operators/harness.ts'
import { cases, events, fixed } from './arbitraries.ts'
import { assertEmpty, collect, drive, GENERAL_STATES, processed, sortValues, withWindow } from './drive.ts'
import { WindowModel } from './model.ts'

const RUNS = Number(process.env.FC_RUNS ?? 300)

test('processing time: every assigner, trigger and evictor, warm and cold, as the model', async () => {
  await fc.assert(
    fc.asyncProperty(cases('processing'), events('processing', 1000), fc.boolean(), fc.boolean(), async (c, list, cold, full) => {
      const { assigner, trigger, evictor, model } = c
      const base = { name: 'w', assigner, trigger, evictor }
      const options: WindowOptions = full
        ? { ...base, process: processed }
        : { ...base, aggregate: collect(false), apply: withWindow }
      const driven = await drive(createWindowOperator(options), windowStates(options), list, 'processing', () => cold)
      const expected = new WindowModel(model)
      for (const event of list) expected.event(event)
      assert.deepEqual(driven.results, expected.results)
      assertEmpty(driven)
    }),
    { numRuns: RUNS },
  )
})

test('processing time: panes equal the model and the general operator', async () => {
  await fc.assert(
    fc.asyncProperty(fixed(), events('processing', 1000), fc.boolean(), async ({ size, slide, offset }, list, cold) => {
      const assigner = sliding(size, slide, { offset, time: 'processing' })
      const options: WindowOptions = { name: 'w', assigner, aggregate: collect(true), apply: withWindow }
      assert.equal(windowPlan(options), 'panes')
      const panes = await drive(createWindowOperator(options), windowStates(options), list, 'processing', () => cold)
      const general = await drive(new WindowOperator(options), GENERAL_STATES, list, 'processing', () => cold)
      const windows = { kind: 'sliding' as const, size, slide, offset }
      const expected = new WindowModel({ windows, time: 'processing', trigger: { kind: 'end' }, purging: false, lateness: 0 })
      for (const event of list) expected.event(event)
      assert.deepEqual(panes.results, sortValues(expected.results))
      assert.deepEqual(panes.harness.log, general.harness.log)
      assertEmpty(panes)
    }),
    { numRuns: RUNS },
  )
})

// If the window fired at its last millisecond instead of after it, a record of that millisecond would open the window again, and it
// would fire twice.
test('a record of the last millisecond of a window is in it, and the window fires once', async () => {
  const options: WindowOptions = {
    name: 'w',
    assigner: tumbling(10, { time: 'processing' }),
    reduce: (a: number, b: number) => a + b,
  }
  for (const operator of [createWindowOperator(options), new WindowOperator(options)]) {
    const harness = await Harness.open(operator, GENERAL_STATES)
    for (const [now, value] of [
      [3, 1],
      [9, 2],
      [9, 4],
      [10, 8],
    ] as const) {
      harness.clock.time = now
      await operator.fireProcessingTimers(now)
      harness.record(value, 0)
    }
    assert.deepEqual(harness.out, [{ value: 7, timestamp: 9, key: 'k' }])
  }
})

test('at the end of the input, firing everything ends', async () => {
  const { continuousProcessingTime } = await import('../../runtime/windows/triggers.ts')
  const { globalWindow } = await import('../../runtime/windows/assigners.ts')
  const options: WindowOptions = {
    name: 'w',
    assigner: globalWindow(),
    trigger: continuousProcessingTime(5),
    reduce: (a: number, b: number) => a + b,
  }
  const operator = createWindowOperator(options)
  const harness = await Harness.open(operator, windowStates(options))
  harness.record(1, 0)
  harness.record(2, 7)
  harness.watermark(Number.POSITIVE_INFINITY)
  await operator.fireProcessingTimers(Number.POSITIVE_INFINITY)
  assert.deepEqual(harness.out, [{ value: 3, timestamp: 7, key: 'k' }])
})
