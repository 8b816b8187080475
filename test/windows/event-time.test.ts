import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createWindowOperator } from '../../runtime/operators/create-window.ts'
import { WindowOperator } from '../../runtime/operators/window.ts'
import { session, sliding } from '../../runtime/windows/assigners.ts'
import { type WindowOptions, windowPlan, windowStates } from '../../runtime/windows/options.ts'
import { cases, events, fixed } from './arbitraries.ts'
import { assertEmpty, collect, drive, GENERAL_STATES, LATE, processed, sortValues, withWindow } from './drive.ts'
import { type Event, type ModelOptions, WindowModel } from './model.ts'

const RUNS = Number(process.env.FC_RUNS ?? 400)

function modelled(options: ModelOptions, list: readonly Event[]): WindowModel {
  const model = new WindowModel(options)
  for (const event of list) model.event(event)
  return model
}

const cold = fc.constantFrom<(event: number) => boolean>(
  () => false,
  () => true,
  i => i % 3 === 1,
)

test('full windows: every assigner, trigger, evictor and lateness, warm and cold, as the model', async () => {
  await fc.assert(
    fc.asyncProperty(cases('event'), events('event'), cold, async (c, list, cold) => {
      const { assigner, trigger, evictor, model } = c
      const options: WindowOptions = {
        name: 'w',
        assigner,
        trigger,
        evictor,
        allowedLateness: model.lateness,
        late: LATE,
        process: processed,
      }
      const driven = await drive(createWindowOperator(options), windowStates(options), list, 'event', cold)
      const expected = modelled(model, list)
      assert.deepEqual(driven.results, expected.results)
      assert.deepEqual(driven.late, expected.late)
      if (assigner.kind !== 'global') assertEmpty(driven)
    }),
    { numRuns: RUNS },
  )
})

test('aggregates with every assigner, trigger, evictor and lateness, warm and cold, as the model', async () => {
  await fc.assert(
    fc.asyncProperty(cases('event'), events('event'), cold, async (c, list, cold) => {
      const { assigner, trigger, evictor, model } = c
      const options: WindowOptions = {
        name: 'w',
        assigner,
        trigger,
        evictor,
        allowedLateness: model.lateness,
        late: LATE,
        aggregate: collect(false),
        apply: withWindow,
      }
      const driven = await drive(createWindowOperator(options), windowStates(options), list, 'event', cold)
      const expected = modelled(model, list)
      assert.deepEqual(driven.results, expected.results)
      assert.deepEqual(driven.late, expected.late)
      if (assigner.kind !== 'global') assertEmpty(driven)
    }),
    { numRuns: RUNS },
  )
})

test('panes equal the model and the general operator, warm and cold', async () => {
  await fc.assert(
    fc.asyncProperty(fixed(), events('event'), cold, async ({ size, slide, offset }, list, cold) => {
      const options: WindowOptions = {
        name: 'w',
        assigner: sliding(size, slide, { offset }),
        late: LATE,
        aggregate: collect(true),
        apply: withWindow,
      }
      assert.equal(windowPlan(options), 'panes')
      const panes = await drive(createWindowOperator(options), windowStates(options), list, 'event', cold)
      const general = await drive(new WindowOperator(options), GENERAL_STATES, list, 'event', cold)
      const windows = { kind: 'sliding' as const, size, slide, offset }
      const expected = modelled({ windows, time: 'event', trigger: { kind: 'end' }, purging: false, lateness: 0 }, list)
      assert.deepEqual(panes.results, sortValues(expected.results))
      assert.deepEqual(panes.late, expected.late)
      assert.deepEqual(panes.harness.log, general.harness.log)
      assertEmpty(panes)
    }),
    { numRuns: RUNS },
  )
})

test('sessions equal the model and the general operator, warm and cold', async () => {
  const gaps = fc.oneof(
    fc.integer({ min: 1, max: 8 }).map(gap => () => gap),
    fc.constant((value: number) => 1 + (value % 7)),
  )
  await fc.assert(
    fc.asyncProperty(gaps, events('event'), cold, async (gap, list, cold) => {
      const options: WindowOptions = {
        name: 'w',
        assigner: session(gap),
        late: LATE,
        aggregate: collect(false),
        apply: withWindow,
      }
      assert.equal(windowPlan(options), 'sessions')
      const sessions = await drive(createWindowOperator(options), windowStates(options), list, 'event', cold)
      const general = await drive(new WindowOperator(options), GENERAL_STATES, list, 'event', cold)
      const windows = { kind: 'session' as const, gap }
      const expected = modelled({ windows, time: 'event', trigger: { kind: 'end' }, purging: false, lateness: 0 }, list)
      assert.deepEqual(sessions.results, expected.results)
      assert.deepEqual(sessions.late, expected.late)
      assert.deepEqual(sessions.harness.log, general.harness.log)
      assertEmpty(sessions)
    }),
    { numRuns: RUNS },
  )
})

test('reduce equals an aggregate that does the same', async () => {
  await fc.assert(
    fc.asyncProperty(cases('event'), events('event'), async ({ assigner, model }, list) => {
      const base = { name: 'w', assigner, allowedLateness: model.lateness, late: LATE }
      const reduce: WindowOptions = { ...base, reduce: (a: number, b: number) => a + b }
      const aggregate: WindowOptions = {
        ...base,
        aggregate: { createAccumulator: () => 0, add: (a, v) => a + v, merge: (a, b) => a + b, getResult: a => a },
      }
      const reduced = await drive2(reduce, list)
      assert.deepEqual(reduced, await drive2(aggregate, list))
    }),
    { numRuns: RUNS / 4 },
  )
})

async function drive2(options: WindowOptions, list: readonly Event[]) {
  const wrapped = { ...options, apply: (sum: number, { key, window }: any) => ({ key, ...window, values: [sum] }) }
  const { results, late } = await drive(createWindowOperator(wrapped), windowStates(wrapped), list)
  return { results, late }
}
