import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BroadcastProcessOperator, broadcastProcessStates } from '../../runtime/operators/broadcast-process.ts'
import { CoProcessOperator } from '../../runtime/operators/co-process.ts'
import { ProcessOperator } from '../../runtime/operators/process.ts'
import { ProcessAllOperator } from '../../runtime/operators/process-all.ts'
import { UserCodeError } from '../../runtime/operators/user-code.ts'
import { declareStates, type ListSpec, type MapSpec, type ValueSpec } from '../../runtime/state/spec.ts'
import { Harness } from './harness.ts'

const late = { id: 'late' }

test('timers fire by time, in both domains, and emit with their own time', async () => {
  const operator = new ProcessOperator<number, string>({
    onRecord(at, ctx) {
      ctx.timers.event.set(at)
      ctx.timers.event.set(at + 1)
      ctx.timers.event.delete(at + 1)
      ctx.timers.processing.set(at)
    },
    onTimer: (at, ctx, domain) => ctx.emit(`${domain} ${at} ${JSON.stringify(ctx.key)} ${ctx.currentWatermark}`),
  })
  const harness = await Harness.open(operator)
  harness.record(20, 1, '\u0001["a",1]')
  harness.record(10, 2, 'b')
  await harness.commit()
  harness.watermark(15)
  await harness.drain()
  harness.watermark(25)
  await harness.drain()
  await operator.fireProcessingTimers(10)
  assert.deepEqual(harness.log, [
    { value: 'event 10 "b" 15', timestamp: 10, key: 'b' },
    15,
    { value: 'event 20 ["a",1] 25', timestamp: 20, key: '\u0001["a",1]' },
    25,
    { value: 'processing 10 "b" 25', timestamp: 10, key: 'b' },
  ])
})

test('a timer that misses state is set again, loads it, and fires once', async () => {
  const states = { seen: { kind: 'map' } as MapSpec<string, number>, count: { kind: 'value' } as ValueSpec<number> }
  const operator = new ProcessOperator<string, unknown, typeof states>({
    states,
    onRecord(value, ctx) {
      ctx.state.seen.set(value, ctx.timestamp)
      ctx.timers.event.set(100)
      ctx.timers.processing.set(100)
    },
    onTimer(_at, ctx, domain) {
      ctx.state.count.set((ctx.state.count.get() ?? 0) + 1) // undone by the miss that follows
      ctx.emit([domain, ctx.state.count.get(), ctx.state.seen.get('a'), ctx.state.seen.entries()])
    },
  })
  const harness = await Harness.open(operator, declareStates(states))
  harness.record('b', 2)
  harness.record('a', 1)
  await harness.commit()
  harness.watermark(200)
  await harness.drain()
  await harness.commit()
  await operator.fireProcessingTimers(100)
  assert.deepEqual(harness.log, [
    {
      value: [
        'event',
        1,
        1,
        [
          ['a', 1],
          ['b', 2],
        ],
      ],
      timestamp: 100,
      key: 'k',
    }, // prettier-ignore
    200,
    {
      value: [
        'processing',
        2,
        1,
        [
          ['a', 1],
          ['b', 2],
        ],
      ],
      timestamp: 100,
      key: 'k',
    }, // prettier-ignore
  ])
  assert.equal(operator.eventTimers.size + operator.processingTimers.size, 0)
})

test('a function that catches the miss itself changes nothing', async () => {
  const states = { map: { kind: 'map' } as MapSpec<string, { n: number }>, list: { kind: 'list' } as ListSpec<number> }
  const operator = new ProcessOperator<string, number | string, typeof states>({
    states,
    onRecord(value, ctx) {
      ctx.state.list.add(1)
      ctx.output(late, 'x')
      try {
        const found = ctx.state.map.get(value) ?? { n: 0 }
        found.n++
        ctx.state.map.set(value, found)
        ctx.emit(found.n)
      } catch {
        ctx.emit('caught')
      }
      if (value === 'second') ctx.emit(`list ${ctx.state.list.get().length}`)
    },
  })
  const harness = await Harness.open(operator, declareStates(states))
  for (const value of ['first', 'second', 'first', 'second']) {
    harness.record(value, 0)
    await harness.commit()
  }
  harness.record('first', 0)
  harness.record('second', 0)
  await harness.drain()
  assert.deepEqual(harness.values, [1, 1, 'list 2', 2, 2, 'list 4', 3, 3, 'list 6'])
  assert.equal(harness.side('late').length, 6)
})

test('records keep their order behind one that misses, and the watermark its place', async () => {
  const states = { map: { kind: 'map' } as MapSpec<string, number> }
  const operator = new ProcessOperator<string, string, typeof states>({
    states,
    onRecord(value, ctx) {
      ctx.state.map.set(value, (ctx.state.map.get(value) ?? 0) + 1)
      ctx.emit(`${value}${ctx.state.map.get(value)}`)
    },
  })
  const harness = await Harness.open(operator, declareStates(states))
  harness.record('a', 1, 'x')
  await harness.commit()
  harness.record('a', 2, 'x')
  harness.record('b', 3, 'y')
  harness.watermark(3)
  harness.record('a', 4, 'x')
  harness.watermark(4)
  await harness.drain()
  assert.deepEqual(
    harness.log.map(entry => (typeof entry === 'number' ? entry : entry.value)),
    ['a1', 'a2', 'b1', 3, 'a3', 4],
  )
})

test('what the user gets wrong is said: a throw, a promise, a timer without onTimer', async () => {
  const failing = async (fn: any) => {
    const harness = await Harness.open(new ProcessOperator<any, any>(fn))
    harness.record(1, 0)
  }
  const thrown = new TypeError('boom')
  await assert.rejects(
    failing({
      onRecord() {
        throw thrown
      },
    }),
    (error: UserCodeError) =>
      error instanceof UserCodeError &&
      error.cause === thrown &&
      error.operatorId === 'test' &&
      error.key !== undefined &&
      /operator 'test' at the record of 1970-01-01T00:00:00.000Z under the key \S+: onRecord threw TypeError: boom/.test(
        error.message,
      ),
  )
  await assert.rejects(failing({ async onRecord() {} }), /onRecord returned a Promise, but has to be synchronous/)
  await assert.rejects(failing({ onRecord: (_: any, ctx: any) => ctx.timers.event.set(5) }), /has no onTimer/)
  await assert.rejects(
    failing({ onRecord: (_: any, ctx: any) => ctx.timers.event.delete(Number.NaN) }),
    /a timer's time must be a number/,
  )
})

test('two streams share the state of a key; the watermark is the lower one', async () => {
  const states = { rate: { kind: 'value' } as ValueSpec<number> }
  const operator = new CoProcessOperator<number, number, number, typeof states>({
    states,
    onFirst: (amount, ctx) => ctx.emit(amount * (ctx.state.rate.get() ?? 1)),
    onSecond: (rate, ctx) => ctx.state.rate.set(rate),
  })
  const harness = await Harness.open(operator, declareStates(states))
  harness.record(1, 0)
  harness.record(3, 1, 'k', 1)
  await harness.commit()
  harness.record(2, 2)
  harness.record(2, 2, 'other')
  harness.watermark(5, 0)
  harness.watermark(4, 1)
  await harness.drain()
  assert.deepEqual(harness.values, [1, 6, 2])
  assert.equal(harness.log.at(-1), 4)
})

test('broadcast state is seen by every key, also when all is cold', async () => {
  const fn = {
    states: { count: { kind: 'value' } as ValueSpec<number>, seen: { kind: 'map' } as MapSpec<string, number> },
    broadcast: { rules: { kind: 'map' } as MapSpec<string, string> },
  }
  const operator = new BroadcastProcessOperator<string, [string, string], string, typeof fn.states, typeof fn.broadcast>({
    ...fn,
    onRecord(value, ctx) {
      ctx.state.count.set((ctx.state.count.get() ?? 0) + 1)
      ctx.state.seen.set(value, (ctx.state.seen.get(value) ?? 0) + 1)
      ctx.emit(`${ctx.key} ${value} ${ctx.broadcast.rules.get(value)} ${ctx.state.count.get()} ${ctx.state.seen.get(value)}`)
      ctx.timers.event.set(ctx.timestamp + 10)
    },
    onBroadcast([name, rule], ctx) {
      ctx.broadcast.rules.set(name, rule)
      ctx.emit(`rules ${ctx.broadcast.rules.keys()}`)
    },
    onTimer: (at, ctx) => ctx.emit(`timer ${at} ${ctx.key} ${ctx.broadcast.rules.keys()}`),
  })
  const harness = await Harness.open(operator, broadcastProcessStates(fn))
  harness.record(['a', 'one'], 0, undefined, 1)
  harness.record('a', 1, 'x')
  await harness.commit()
  harness.record('a', 2, 'y')
  harness.record(['b', 'two'], 3, undefined, 1)
  harness.record('b', 3, 'x')
  harness.record('a', 4, 'x')
  await harness.commit()
  harness.watermark(11, 0)
  harness.watermark(11, 1)
  await harness.drain()
  assert.deepEqual(harness.values, [
    'rules a',
    'x a one 1 1',
    'y a one 1 1',
    'rules a,b',
    'x b two 2 1',
    'x a one 3 2',
    'timer 11 x a,b',
  ])
  assert.equal(harness.out[0]!.key, undefined, 'what onBroadcast emits has no key')
})

test('a process function without a key has time and side outputs', async () => {
  const operator = new ProcessAllOperator<number, number>((value, ctx) => {
    if (ctx.timestamp <= ctx.currentWatermark) ctx.output(late, value)
    else ctx.emit(value * 2)
  })
  const harness = await Harness.open(operator)
  harness.record(1, 1)
  harness.watermark(5)
  harness.record(2, 5)
  harness.record(3, 6)
  assert.deepEqual(harness.log, [{ value: 2, timestamp: 1, key: 'k' }, 5, { value: 6, timestamp: 6, key: 'k' }])
  assert.deepEqual(harness.side('late'), [2])
})
