import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MillraceError } from '../../runtime/errors.ts'
import { createWindowOperator } from '../../runtime/operators/create-window.ts'
import { UserCodeError } from '../../runtime/operators/user-code.ts'
import { countWindow, describeAssigner, globalWindow, session, sliding, tumbling } from '../../runtime/windows/assigners.ts'
import { countEvictor, timeEvictor } from '../../runtime/windows/evictors.ts'
import { type WindowOptions, windowPlan, windowStates } from '../../runtime/windows/options.ts'
import { continuousEventTime, onCount, onEventTime, purging, type Trigger } from '../../runtime/windows/triggers.ts'
import { Harness } from '../operators/harness.ts'

const sum = (a: number, b: number) => a + b

test('durations, offsets and clocks', () => {
  assert.deepEqual(tumbling('5m'), { kind: 'sliding', time: 'event', size: 300_000, slide: 300_000, offset: 0 })
  assert.deepEqual(sliding('30m', '1 m', { offset: '-10s', time: 'processing' }), {
    kind: 'sliding',
    time: 'processing',
    size: 1_800_000,
    slide: 60_000,
    offset: -10_000,
  })
  assert.equal(describeAssigner(sliding('30m', '1m')), 'sliding 30m every 1m')
  assert.equal(describeAssigner(tumbling('1d', { offset: '-8h' })), 'tumbling 1d, offset -8h')
  assert.equal(describeAssigner(session('10m', { time: 'processing' })), 'session, gap 10m, processing time')
  assert.equal(describeAssigner(countWindow(3)), 'global')
})

test('impossible windows are refused when they are declared', () => {
  for (const make of [
    () => tumbling(0),
    () => tumbling(-5),
    () => tumbling(1.5),
    () => sliding('10s', 0),
    () => sliding(0, '1s'),
    () => sliding('10s', '5s', { offset: '5s' }),
    () => tumbling('10s', { offset: '-10s' }),
    () => tumbling('10s', { time: 'wall' as any }),
    () => tumbling('soon' as any),
    () => session(0),
    () => countWindow(0),
    () => countWindow(10, 0),
    () => countWindow(1.5),
    () => onCount(-1),
    () => continuousEventTime(0),
    () => countEvictor(0),
    () => timeEvictor('0s'),
  ]) {
    assert.throws(make, MillraceError, String(make))
  }
})

test('impossible operators are refused, by name', () => {
  const { onMerge: _, ...noMerge } = onEventTime()
  const aggregate = { createAccumulator: () => 0, add: sum, getResult: (n: number) => n }
  const refused: [Partial<WindowOptions>, RegExp][] = [
    [{}, /'w'.*exactly one/],
    [{ reduce: sum, process() {} }, /exactly one/],
    [{ process() {}, apply: r => r }, /goes with aggregate or reduce/],
    [{ reduce: sum, allowedLateness: -1 }, /allowed lateness/],
    [{ reduce: sum, allowedLateness: 5, assigner: tumbling(10, { time: 'processing' }) }, /no late records/],
    [{ aggregate, assigner: session(10) }, /no merge/],
    [{ reduce: sum, assigner: session(10), trigger: noMerge }, /onMerge/],
  ]
  for (const [options, message] of refused) {
    assert.throws(() => createWindowOperator({ name: 'w', assigner: tumbling(10), ...options }), message)
  }
})

test('the cheapest operator that can', () => {
  const base = { name: 'w', reduce: sum }
  const aggregate = { createAccumulator: () => 0, add: sum, getResult: (n: number) => n }
  assert.equal(windowPlan({ ...base, assigner: tumbling(10) }), 'panes')
  assert.equal(windowPlan({ ...base, assigner: session(10) }), 'sessions')
  assert.equal(windowPlan({ ...base, assigner: sliding(10, 5), allowedLateness: 1 }), 'general')
  assert.equal(windowPlan({ ...base, assigner: sliding(10, 5), trigger: onCount(1) }), 'general')
  assert.equal(windowPlan({ name: 'w', assigner: sliding(10, 5), aggregate }), 'general')
  assert.equal(windowPlan({ ...base, assigner: globalWindow() }), 'general')
  assert.deepEqual(
    windowStates({ ...base, assigner: countWindow(3, 1) }).map(s => s.name),
    ['windows', 'elements'],
  )
})

async function run(options: WindowOptions, records: readonly (readonly [number, number])[]) {
  const harness = await Harness.open(createWindowOperator(options), windowStates(options))
  for (const [value, timestamp] of records) {
    harness.record(value, timestamp)
    harness.watermark(timestamp - 1)
    await harness.commit()
  }
  harness.watermark(Number.POSITIVE_INFINITY)
  await harness.drain()
  return harness.out
}

test('countWindow(n), and the last n after every slide', async () => {
  const records = [1, 2, 4, 8, 16].map((v, i) => [v, 10 * i] as const)
  const tumblingCount = await run({ name: 'w', assigner: countWindow(2), reduce: sum }, records)
  assert.deepEqual(tumblingCount, [
    { value: 3, timestamp: 10, key: 'k' },
    { value: 12, timestamp: 30, key: 'k' },
  ])
  const slidingCount = await run({ name: 'w', assigner: countWindow(3, 2), reduce: sum }, records)
  assert.deepEqual(slidingCount, [
    { value: 3, timestamp: 10, key: 'k' },
    { value: 14, timestamp: 30, key: 'k' },
  ])
})

test("a trigger of one's own, with state and timers", async () => {
  // fires 3 ms after the first record of each window, then with every second record
  const own: Trigger<number> = {
    onElement(_value, timestamp, _window, ctx) {
      const seen = (ctx.get('seen') ?? 0) + 1
      ctx.set('seen', seen)
      if (seen === 1) ctx.registerEventTime(timestamp + 3)
      return ctx.get('open') === true && seen % 2 === 0 ? 'FIRE_AND_PURGE' : 'CONTINUE'
    },
    onEventTime(_at, _window, ctx) {
      ctx.set('open', true)
      return 'FIRE'
    },
    onProcessingTime: () => 'CONTINUE',
    clear() {},
  }
  const out = await run({ name: 'w', assigner: tumbling(100), trigger: own, reduce: sum }, [
    [1, 10],
    [2, 20],
    [4, 30],
    [8, 40],
  ])
  assert.deepEqual(
    out.map(r => r.value),
    [3, 15],
  )
})

test('a purging trigger gives what is new each time', async () => {
  const out = await run({ name: 'w', assigner: tumbling(100), trigger: purging(continuousEventTime(10)), reduce: sum }, [
    [1, 1],
    [2, 12],
    [4, 15],
    [8, 99],
  ])
  assert.deepEqual(
    out.map(r => r.value),
    [3, 12],
  )
})

test('errors of user functions name operator, time and function', async () => {
  const boom = () => {
    throw new RangeError('boom')
  }
  const assigner = tumbling(10)
  for (const [options, what] of [
    [{ assigner, reduce: boom }, /reduce threw RangeError: boom/],
    [
      { assigner, aggregate: { createAccumulator: () => 0, add: () => undefined, merge: sum, getResult: sum } as any },
      /add returned undefined/,
    ],
    [{ assigner, reduce: sum, apply: boom }, /the window function threw RangeError: boom/],
    [{ assigner, process: boom }, /the window function threw/],
    [{ assigner, trigger: { ...onEventTime(), onElement: boom }, reduce: sum }, /the trigger threw/],
    [{ assigner, evictor: { before: boom }, reduce: sum }, /the evictor threw/],
    [{ assigner: session(() => 0), reduce: sum }, /the gap of session gave 0/],
  ] as [WindowOptions, RegExp][]) {
    const play = () =>
      run({ ...options, name: 'w' }, [
        [1, 0],
        [2, 1],
      ])
    await assert.rejects(play, error => error instanceof UserCodeError && what.test(error.message))
  }
})
