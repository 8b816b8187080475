import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { mapAddress } from '../../runtime/state/address.ts'
import { BaseLoader } from '../../runtime/state/base.ts'
import { applyState, type Change, markCommitted } from '../../runtime/state/changelog.ts'
import { pack } from '../../runtime/state/codec.ts'
import { KeyedState } from '../../runtime/state/keyed-state.ts'
import { TimeBuffer } from '../../runtime/state/time-buffer.ts'

const KEPT_MS = 4000
const states = [{ name: 'kept', primitive: 'map', load: 'all', keptMs: KEPT_MS }] as const
const at = fc.integer({ min: 0, max: 12 }).map(seconds => seconds * 1000)
const value = fc.oneof(
  { weight: 3, arbitrary: fc.record({ id: fc.nat(9), name: fc.string() }, { requiredKeys: [] }) },
  fc.record({ id: fc.nat(9), nested: fc.record({ n: fc.nat(9) }) }),
  fc.array(fc.nat(9), { maxLength: 2 }),
  fc.constantFrom(undefined, null, 'text', 7),
)
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), at, value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('range' as const), at, to: at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('commit' as const), fresh: fc.boolean() }) },
)

test('a time buffer is a list in order of time, then of arrival, whatever is committed and loaded again in between', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const state = new KeyedState(states)
      let buffer = new TimeBuffer<unknown>(state, 0)
      let model: { at: number; value: unknown }[] = []
      let watermark = Number.NEGATIVE_INFINITY
      for (const step of steps) {
        const entry = state.lookup('key')!
        if (step.do === 'add') {
          if (step.at < watermark) continue // late
          buffer.add(entry, step.at, step.value)
          model.push({ at: step.at, value: step.value })
          model.sort((a, b) => a.at - b.at)
        } else if (step.do === 'range') {
          const found: { at: number; value: unknown }[] = []
          const from = Math.max(step.at, watermark - KEPT_MS) // what has expired may be there, or not
          buffer.range(entry, from, step.to, (value, at) => {
            const copy = buffer.copy(value)
            if (typeof value === 'object' && value !== null) assert.notEqual(copy, value, 'a copy')
            if (typeof value === 'object' && value !== null && 'nested' in value)
              assert.notEqual((copy as any).nested, value.nested)
            found.push({ at, value: copy })
          })
          assert.deepEqual(
            found,
            model.filter(v => v.at >= from && v.at <= step.to),
          )
        } else if (step.do === 'sweep') {
          watermark = Math.max(watermark, step.at)
          buffer.sweep(watermark)
          model = model.filter(v => v.at >= watermark - KEPT_MS)
        } else {
          markCommitted([{ state, eventTimers: { changes: [] }, processingTimers: { changes: [] } } as any], 1)
          if (!step.fresh) continue
          // As when the key is loaded again: its order is not known.
          if (state.peek(entry, 0) !== undefined) state.peek(entry, 0)!.order = undefined
          buffer = new TimeBuffer(state, 0)
          buffer.watch(entry)
        }
      }
      assert.equal(state.entries.size > 0 || model.length === 0, true)
      markCommitted([{ state, eventTimers: { changes: [] }, processingTimers: { changes: [] } } as any], 2)
      for (const at of [20_000, 21_000, 22_000]) buffer.sweep(at)
      assert.equal(state.entries.get('key')?.values[0], undefined, 'all is gone')
    }),
  )
})

test('values with other fields than the first, or in another order, are copied with what they have', () => {
  const values: object[] = [
    { a: 1, b: 'x' },
    { a: 2, b: 'y' },
    { b: 'z', a: 3 },
    { a: 4 },
    { a: 5, b: 'v', c: 6 },
    { a: 7, b: [8] },
  ]
  for (const first of values)
    for (const second of values) {
      const state = new KeyedState(states)
      const buffer = new TimeBuffer<object>(state, 0)
      const entry = state.lookup('key')!
      for (const value of [first, second]) buffer.add(entry, 1000, value)
      for (const value of [first, second]) {
        const copy = buffer.copy(value)
        assert.notEqual(copy, value)
        assert.deepEqual(Object.entries(copy), Object.entries(value))
      }
    }
})

test('what was written since the last commit is looked at once until the next, however often memory is swept', () => {
  const state = new KeyedState(states)
  const buffer = new TimeBuffer<string>(state, 0)
  buffer.add(state.lookup('key')!, 1000, 'value')
  const { get } = state.entries
  let looks = 0
  state.entries.get = key => {
    looks++
    return get.call(state.entries, key)
  }
  for (let at = 10_000; at < 60_000; at += 1000) buffer.sweep(at)
  assert.equal(looks, 1)
  assert.equal(state.entries.size, 1)
  markCommitted([{ state, eventTimers: { changes: [] }, processingTimers: { changes: [] } } as any], 1)
  buffer.sweep(60_001)
  assert.equal(looks, 2)
  assert.equal(state.entries.size, 0)
})

/** A key in memory as a cold start has it from the log: what the base has is not there yet. */
function replayed(entries: readonly { at: number; value?: string }[]): KeyedState {
  const state = new KeyedState(states)
  const change = {
    operator: 0,
    state: 0,
    key: 'key',
    created: false,
    tag: undefined,
    timestamp: 0,
    bytes: 0,
  } satisfies Partial<Change>
  for (const { at, value } of entries)
    applyState(state, 0, { ...change, written: value !== undefined, value: { k: at, v: value } }, 2)
  return state
}

test('what the base has is found beside what the log had, though memory was swept before the key was loaded', async () => {
  const { store, close } = await openEmbedded({})
  const space = { run: 'run', operatorId: 'join', subtask: 0 }
  await store.upsert([{ ...mapAddress(space, 'key', states[0], 12_000), v: 1, value: pack('base') }])
  const state = replayed([
    { at: 10_000, value: 'expired' },
    { at: 14_000, value: 'log' },
    { at: 15_000, value: 'later' },
  ])
  state.loader = new BaseLoader(store, space, () => 2)
  const buffer = new TimeBuffer<string>(state, 0)
  buffer.watch(state.entries.get('key')!)
  buffer.sweep(15_500)
  assert.equal(state.peek(state.entries.get('key')!, 0)!.entries.has(10_000), false)
  await state.load(['key'])
  const found: string[] = []
  buffer.range(state.lookup('key')!, 11_500, 20_000, value => found.push(value))
  assert.deepEqual(found, ['base', 'log', 'later'])
  await close()
})

test('of what the base has a key is loaded with what has not expired, however much there was', async () => {
  const { store, close } = await openEmbedded({})
  const space = { run: 'run', operatorId: 'join', subtask: 0 }
  const seconds = Array.from({ length: 3000 }, (_, i) => (i - 1000) * 1000)
  await store.upsert(seconds.map(at => ({ ...mapAddress(space, 'key', states[0], at), v: 1, value: pack(at) })))
  for (const [watermark, left] of [
    [1_990_000, 14],
    [-994_000, 2998],
  ] as const) {
    const state = new KeyedState(states)
    state.loader = new BaseLoader(store, space, () => 2)
    const buffer = new TimeBuffer<number>(state, 0)
    buffer.sweep(watermark)
    await state.load(['key'])
    const found: number[] = []
    buffer.range(state.lookup('key')!, watermark - KEPT_MS, Number.POSITIVE_INFINITY, value => found.push(value))
    assert.deepEqual(found, seconds.slice(-left))
    assert.equal(state.peek(state.entries.get('key')!, 0)!.entries.size, left)
  }
  await close()
})

test('a key whose entries the log says are deleted leaves memory with what has expired', () => {
  for (const entries of [[{ at: 10_000 }], [{ at: 9_000 }, { at: 10_000 }], [{ at: 9_000, value: 'kept' }, { at: 10_000 }]]) {
    const state = replayed(entries)
    const buffer = new TimeBuffer<string>(state, 0)
    buffer.watch(state.entries.get('key')!)
    buffer.sweep(20_000)
    assert.equal(state.entries.size, 0)
  }
})
