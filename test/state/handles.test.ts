import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProcessOperator } from '../../runtime/operators/process.ts'
import { declareStates, type ListSpec, type MapSpec, type StateSpecs, type ValueSpec } from '../../runtime/state/spec.ts'
import { Harness } from '../operators/harness.ts'

const specs = {
  value: { kind: 'value' } as ValueSpec<{ n: number }>,
  list: { kind: 'list' } as ListSpec<{ n: number }>,
  map: { kind: 'map' } as MapSpec<string | number, { n: number }>,
  other: { kind: 'map' } as MapSpec<string | number, number>,
  sum: { kind: 'reducing', reduce: (a: number, b: number) => a + b } as const,
  mean: {
    kind: 'aggregating',
    aggregate: {
      createAccumulator: () => ({ count: 0, sum: 0 }),
      add: (value: number, acc: { count: number; sum: number }) => {
        acc.count++
        acc.sum += value
        return acc
      },
      getResult: (acc: { count: number; sum: number }) => acc.sum / acc.count,
    },
  } as const,
} satisfies StateSpecs

/** The states of one key as plain JavaScript. */
class Model {
  value: { n: number } | undefined
  list: { n: number }[] = []
  map = new Map<string | number, { n: number }>()
  other = new Map<string | number, number>()
  sum: number | undefined
  mean: number[] = []
}

const subkey = fc.constantFrom<(string | number)[]>('a', 'b', 'c', 0, 1, 10, 2)
const n = fc.integer({ min: 0, max: 9 })
const operation = fc.oneof(
  fc.record({ op: fc.constant('value.set' as const), n }),
  fc.record({
    op: fc.constantFrom('value.get', 'value.bump', 'value.clear', 'list.get', 'list.bump', 'list.clear', 'map.entries'),
  }),
  fc.record({ op: fc.constantFrom('map.clear', 'map.isEmpty', 'other.keys', 'sum.get', 'sum.clear', 'mean.get', 'mean.clear') }),
  fc.record({ op: fc.constantFrom('list.add', 'sum.add', 'mean.add'), n }),
  fc.record({ op: fc.constant('list.set' as const), all: fc.array(n, { maxLength: 3 }) }),
  fc.record({
    op: fc.constantFrom('map.set', 'map.get', 'map.has', 'map.delete', 'map.bump', 'other.set', 'other.get'),
    subkey,
    n,
  }),
)
type Operation = { op: string; n?: number; all?: number[]; subkey?: string | number }

const step = fc.record({
  key: fc.constantFrom('x', 'y', 7),
  ops: fc.array(operation, { minLength: 1, maxLength: 6 }),
  /** After it: commit, and which keys are cold then. */
  commit: fc.option(fc.subarray(['x', 'y', 7]), { nil: undefined, freq: 2 }),
})

/** Both as handles and as a plain model: `s` has the same methods. */
function apply(s: any, { op, n, all, subkey }: Operation): unknown {
  const bump = <T extends { n: number } | undefined>(value: T): T => {
    if (value !== undefined) value.n++ // in place, before it is written: what a miss later in the invocation has to undo
    return value
  }
  switch (op) {
    case 'value.set':
      return s.value.set({ n })
    case 'value.bump': {
      const value = bump(s.value.get())
      return value && s.value.set(value)
    }
    case 'list.add':
      return s.list.add({ n })
    case 'list.set':
      return s.list.set(all!.map(n => ({ n })))
    case 'list.bump':
      return s.list.set(s.list.get().map(bump))
    case 'map.set':
      return s.map.set(subkey, { n })
    case 'map.bump': {
      const value = bump(s.map.get(subkey))
      return value && s.map.set(subkey, value)
    }
    case 'other.set':
      return s.other.set(subkey, n)
    default: {
      const [state, method] = op.split('.') as [string, string]
      return s[state][method](...(method === 'add' ? [n] : subkey === undefined ? [] : [subkey]))
    }
  }
}

function plain(model: Model) {
  const order = (a: string | number, b: string | number) =>
    typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === 'number' ? -1 : 1
  const mapOf = (map: Map<string | number, any>) => ({
    set: (k: any, v: any) => void map.set(k, v),
    get: (k: any) => map.get(k),
    has: (k: any) => map.has(k),
    delete: (k: any) => void map.delete(k),
    clear: () => map.clear(),
    isEmpty: () => map.size === 0,
    keys: () => [...map.keys()].sort(order),
    entries: () => [...map.entries()].sort((a, b) => order(a[0], b[0])),
  })
  return {
    value: {
      get: () => model.value,
      set: (v: any) => {
        model.value = v
      },
      clear: () => {
        model.value = undefined
      },
    },
    list: {
      get: () => [...model.list],
      add: (v: any) => void model.list.push(v),
      set: (v: any) => {
        model.list = v
      },
      clear: () => {
        model.list = []
      },
    },
    map: mapOf(model.map),
    other: mapOf(model.other),
    sum: {
      get: () => model.sum,
      add: (v: number) => {
        model.sum = (model.sum ?? 0) + v
      },
      clear: () => {
        model.sum = undefined
      },
    },
    mean: {
      get: () => (model.mean.length === 0 ? undefined : model.mean.reduce((a, b) => a + b, 0) / model.mean.length),
      add: (v: number) => void model.mean.push(v),
      clear: () => {
        model.mean = []
      },
    },
  }
}

test('handles behave as plain values, arrays and maps, whatever is cold and however often an invocation misses', async () => {
  let misses = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30, size: 'max' }), async steps => {
      const operator = new ProcessOperator<Operation[], unknown, typeof specs>({
        states: specs,
        onRecord(ops, ctx) {
          for (const op of ops) {
            ctx.emit(apply(ctx.state, op))
            ctx.timers.event.set(op.n ?? 0)
          }
        },
        onTimer: (at, ctx) => ctx.emit(`timer ${at} ${ctx.key}`),
      })
      const harness = await Harness.open(operator, declareStates(specs))
      const models = new Map<string | number, Model>()
      const expected: unknown[] = []
      const timers = new Set<string>()
      for (const { key, ops, commit } of steps) {
        harness.record(ops, 0, key)
        if (!models.has(key)) models.set(key, new Model())
        const model = plain(models.get(key)!)
        for (const op of ops) {
          expected.push(structuredClone(apply(model, op)))
          timers.add(`${(op as Operation).n ?? 0} ${key}`)
        }
        if (commit !== undefined) await harness.commit(cold => commit.includes(cold as never))
      }
      await harness.drain()
      assert.deepEqual(harness.values, expected)
      assert.equal(operator.eventTimers.size, timers.size)
      misses += harness.base.mapLoads
    }),
    { numRuns: 1000 },
  )
  assert.ok(misses > 500, `only ${misses} misses`)
})

test('state with a TTL ages alike in memory and in the base', async () => {
  const ttl = (refresh: 'read' | 'write') => ({ ms: 10, time: 'event', refresh }) as const
  const aging = {
    value: { kind: 'value', ttl: ttl('write') },
    read: { kind: 'value', ttl: ttl('read') },
    list: { kind: 'list', ttl: ttl('write') },
    readList: { kind: 'list', ttl: ttl('read') },
    map: { kind: 'map', ttl: ttl('write') },
  } as const satisfies StateSpecs
  const run = async (steps: { at: number; write: boolean; evict: boolean }[], cold: boolean) => {
    const operator = new ProcessOperator<boolean, unknown, typeof aging>({
      states: aging,
      onRecord(write, ctx) {
        const { value, read, list, readList, map } = ctx.state
        if (write) {
          for (const state of [value, read]) state.set(ctx.timestamp)
          for (const state of [list, readList]) state.add(ctx.timestamp)
          map.set(ctx.timestamp % 3, ctx.timestamp)
        } else ctx.emit([value.get(), read.get(), list.get(), readList.get(), map.entries()])
      },
    })
    const harness = await Harness.open(operator, declareStates(aging))
    for (const { at, write, evict } of steps) {
      harness.record(write, at)
      if (evict && cold) await harness.commit()
    }
    await harness.drain()
    return harness.values
  }
  const steps = fc.array(fc.record({ at: fc.integer({ min: 0, max: 40 }), write: fc.boolean(), evict: fc.boolean() }), {
    maxLength: 25,
  })
  await fc.assert(fc.asyncProperty(steps, async steps => assert.deepEqual(await run(steps, true), await run(steps, false))))

  const [young, old] = await run(
    [
      { at: 0, write: true, evict: false },
      { at: 5, write: true, evict: true },
      { at: 9, write: false, evict: true },
      { at: 14, write: false, evict: true },
    ],
    true,
  )
  assert.deepEqual(young, [
    5,
    5,
    [0, 5],
    [0, 5],
    [
      [0, 0],
      [2, 5],
    ],
  ])
  assert.deepEqual(old, [5, 5, [5], [0, 5], [[2, 5]]], 'reading renewed two of them; the others have lost the element of time 0')
})

test('processing-time TTL ages by the clock, not by the records', async () => {
  const states = { value: { kind: 'value', ttl: { ms: 10, time: 'processing', refresh: 'write' } } } as const satisfies StateSpecs
  const operator = new ProcessOperator<string, unknown, typeof states>({
    states,
    onRecord(value, ctx) {
      ctx.emit(ctx.state.value.get() ?? null)
      ctx.state.value.set(value)
    },
  })
  const harness = await Harness.open(operator, declareStates(states))
  harness.record('a', 0)
  harness.record('b', 1_000_000)
  await harness.clock.advance(10)
  harness.record('c', 1_000_000)
  assert.deepEqual(harness.values, [null, 'a', null])
})

test('what state cannot hold is refused by name', async () => {
  const states = { map: { kind: 'map' }, list: { kind: 'list' } } as const satisfies StateSpecs
  const harness = await Harness.open(
    new ProcessOperator<(state: any) => void, unknown, typeof states>({ states, onRecord: (use, ctx) => use(ctx.state) }),
    declareStates(states),
  )
  assert.throws(() => harness.record((s: any) => s.map.set({}, 1), 0), /map state 'map' was given object as a key/)
  assert.throws(() => harness.record((s: any) => s.map.get(Number.NaN), 0), /map state 'map' was given NaN as a key/)
  assert.throws(() => harness.record((s: any) => s.list.add(undefined), 0), /list state 'list' was given undefined/)
})

test('a list of 10,000 is appended to without reading or writing its elements', async () => {
  const states = { list: { kind: 'list' } as ListSpec<number> }
  const operator = new ProcessOperator<number, number, typeof states>({
    states,
    onRecord(value, ctx) {
      if (value >= 0) ctx.state.list.add(value)
      else ctx.emit(ctx.state.list.get().length)
    },
  })
  const harness = await Harness.open(operator, declareStates(states))
  for (let i = 0; i < 10_000; i++) harness.record(i, i)
  await harness.commit()
  harness.record(10_000, 0)
  await harness.drain()
  const [entry] = harness.state.dirty
  assert.equal(entry!.values[0].dirty.size, 1)
  assert.equal(harness.base.mapLoads, 0)
  harness.record(-1, 0)
  await harness.drain()
  assert.deepEqual(harness.values, [10_001])
  assert.equal(harness.base.mapLoads, 1)
})
