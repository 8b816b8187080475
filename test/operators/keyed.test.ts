import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DEDUP_STATES, DedupOperator } from '../../runtime/operators/dedup.ts'
import { IntervalJoinOperator, intervalJoinStates } from '../../runtime/operators/interval-join.ts'
import { JOIN_WITH_STATES, JoinWithOperator, joinWithStates } from '../../runtime/operators/join-with.ts'
import { REDUCE_STATES, ReduceOperator } from '../../runtime/operators/reduce.ts'
import { TOP_N_STATES, TopNOperator } from '../../runtime/operators/top-n.ts'
import { Harness } from './harness.ts'
import { both, type Seen, steps, type Value } from './steps.ts'

const byId = (a: any, b: any) => JSON.stringify(a).localeCompare(JSON.stringify(b))

test('reduce emits the accumulated value of each key after each record', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async steps => {
      const make = () => new ReduceOperator<Value>((a, b) => ({ id: b.id, n: a.n + b.n }))
      const { harness, seen } = await both(make, REDUCE_STATES, steps, 1)
      const sums: Record<string, number> = {}
      const expected = seen.map(s => {
        sums[s.key] = (sums[s.key] ?? 0) + s.n
        return { value: { id: s.value.id, n: sums[s.key] }, timestamp: s.at, key: s.key }
      })
      assert.deepEqual(harness.out, expected)
    }),
  )
})

/** The definition: whether no first of its id lies less than the TTL away. */
function firsts(ttlMs: number): (s: Seen) => boolean {
  const times = new Map<string, number[]>()
  return s => {
    const id = `${s.key} ${s.n}`
    const known = times.get(id) ?? []
    if (known.some(at => Math.abs(s.at - at) < ttlMs)) return false
    times.set(id, [...known, s.at])
    return true
  }
}

test('dedup drops what lies less than the TTL from the first of its id, and keeps no state for ever', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 30 }), async (steps, ttlMs) => {
      // Records at or below the watermark may find their id forgotten: those are not for this model.
      const make = () => new DedupOperator<Value>({ id: v => (v.n === 0 ? undefined : v.n), ttlMs })
      let low = Number.NEGATIVE_INFINITY
      const punctual = steps.map(s => {
        if (s.kind === 'watermark') low = Math.max(0, low) + s.advance
        return s.kind === 'record' ? { ...s, at: Math.max(s.at, low + 1) } : s
      })
      const { harness, seen } = await both(make, DEDUP_STATES, punctual, 1)
      const isFirst = firsts(ttlMs)
      const kept = seen.filter(s => s.n === 0 || isFirst(s))
      assert.deepEqual(
        harness.values,
        kept.map(s => s.value),
      )
      assert.equal(harness.base.size, 0)
    }),
  )
})

test('dedup with a lateness lets no duplicate through, however late, and late records go aside', async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 20 }),
      async (steps, ttlMs, latenessMs) => {
        const late = { id: 'late' }
        const make = () => new DedupOperator<Value>({ id: v => v.n, ttlMs, latenessMs, lateTag: late })
        const { harness, seen } = await both(make, DEDUP_STATES, steps, 1)
        const inTime = seen.filter(s => s.at + latenessMs > s.watermark)
        const kept = inTime.filter(firsts(ttlMs))
        const values = (of: readonly Seen[]) => of.map(s => s.value)
        assert.deepEqual(harness.values, values(kept))
        assert.equal(harness.base.size, 0)
      },
    ),
  )
})

test('dedup has its edges where it says: less than the TTL, from the first one, in both directions', async () => {
  const harness = await Harness.open(new DedupOperator<string>({ id: v => v, ttlMs: 10 }), DEDUP_STATES)
  for (const at of [100, 109, 110, 119, 101, 100]) harness.record('id', at)
  assert.deepEqual(
    harness.out.map(out => out.timestamp),
    [100, 110],
  )
})

test('dedup without an end remembers for good, and sets no timers', async () => {
  const harness = await Harness.open(new DedupOperator<string>({ id: v => v, ttlMs: Number.POSITIVE_INFINITY }), DEDUP_STATES)
  harness.record('id', 0)
  harness.watermark(1e15)
  harness.record('id', 1e15)
  assert.equal(harness.values.length, 1)
  assert.equal(harness.operator.eventTimers.size, 0)
})

test('a dedup id of another type is refused', async () => {
  const harness = await Harness.open(new DedupOperator<any>({ id: v => v, ttlMs: 10 }), DEDUP_STATES)
  assert.throws(() => harness.record({}, 0), /the id function of dedup gave object/)
})

test('topN ranks the records of one time when the watermark reaches it', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 3 }), fc.boolean(), async (steps, n, ties) => {
      const grouped = steps.map(s => ({ ...s, at: s.at - (s.at % 10) }))
      const late = { id: 'late' }
      const compare = (a: Value, b: Value) => b.n - a.n || (ties ? 0 : a.id - b.id)
      const make = () => new TopNOperator<Value>({ n, compare, ties, lateTag: late })
      const { harness, seen } = await both(make, TOP_N_STATES, grouped, 1)
      const expected: unknown[] = []
      const groups = new Set(seen.map(s => `${String(s.at).padStart(2, '0')} ${s.key}`))
      for (const group of [...groups].sort()) {
        const members = seen.filter(s => `${String(s.at).padStart(2, '0')} ${s.key}` === group && s.at > s.watermark)
        const best = members.map(m => m.value).sort(compare)
        for (const [i, value] of best.entries()) {
          const rank = ties ? best.findIndex(other => compare(other, value) === 0) + 1 : i + 1
          if (rank <= n) expected.push({ rank, value })
        }
      }
      assert.deepEqual(harness.values, expected)
      const dropped = seen.filter(s => s.at <= s.watermark).map(s => s.value)
      assert.deepEqual(harness.side('late'), dropped)
      assert.equal(harness.base.size, 0)
    }),
  )
})

test('joinWith by event time gives each left record the right value of its time', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async steps => {
      const late = { id: 'late' }
      const make = () =>
        new JoinWithOperator<Value, Value, [Value, Value | undefined]>({ join: (l, r) => [l, r], time: 'event', lateTag: late })
      const { harness, seen } = await both(make, JOIN_WITH_STATES, steps, 2)
      const expected = seen
        .filter(s => s.input === 0 && s.at > s.watermark)
        .map(left => {
          // What came before the watermark passed the left record: the highest time, then the last to arrive.
          const passed = seen.findIndex(s => s.watermark >= left.at)
          const rights = seen
            .filter((s, i) => s.input === 1 && s.key === left.key && s.at <= left.at && (passed < 0 || i < passed))
            .sort((a, b) => a.at - b.at)
          return [left.value, rights.at(-1)?.value]
        })
      assert.deepEqual([...harness.values].sort(byId), expected.sort(byId))
      assert.deepEqual(
        harness.side('late'),
        seen.filter(s => s.input === 0 && s.at <= s.watermark).map(s => s.value),
      )
      const rightKeys = new Set(seen.filter(s => s.input === 1).map(s => s.key))
      assert.equal(harness.base.size, rightKeys.size, 'one value a key is kept')
    }),
  )
})

test('joinWith by arrival gives what came last', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async steps => {
      const make = () => new JoinWithOperator<Value, Value, any>({ join: (l, r) => [l, r], time: 'arrival' })
      const { harness, seen } = await both(make, JOIN_WITH_STATES, steps, 2)
      const last = new Map<string, Value>()
      const expected: unknown[] = []
      for (const s of seen) {
        if (s.input === 1) last.set(s.key, s.value)
        else expected.push([s.value, last.get(s.key)])
      }
      assert.deepEqual(harness.values, expected)
    }),
  )
})

test('an interval join gives each pair within the bounds once', async () => {
  const bounds = fc.tuple(fc.integer({ min: -15, max: 15 }), fc.integer({ min: 0, max: 15 }))
  await fc.assert(
    fc.asyncProperty(steps, bounds, async (steps, [lowerMs, width]) => {
      const upperMs = lowerMs + width
      const late = { id: 'late' }
      const make = () => new IntervalJoinOperator<Value, Value, any>({ lowerMs, upperMs, join: (l, r) => [l, r], lateTag: late })
      const { harness, seen } = await both(make, intervalJoinStates({ lowerMs, upperMs }), steps, 2)
      const live = seen.filter(s => s.at >= s.watermark)
      const expected: unknown[] = []
      for (const left of live.filter(s => s.input === 0)) {
        for (const right of live.filter(s => s.input === 1 && s.key === left.key)) {
          const distance = right.at - left.at
          if (distance < lowerMs || distance > upperMs) continue
          expected.push({ value: [left.value, right.value], timestamp: Math.max(left.at, right.at), key: left.key })
        }
      }
      assert.deepEqual([...harness.out].sort(byId), expected.sort(byId))
      assert.equal(harness.side('late').length, seen.length - live.length)
    }),
  )
})

test('an interval join forgets what nothing can meet: by no timer, and what was there when it began, too', async () => {
  const bounds = { lowerMs: -5_000, upperMs: 60_000 }
  const states = intervalJoinStates(bounds)
  const open = () => Harness.open(new IntervalJoinOperator({ ...bounds, join: (l, r) => [l, r] }), states)
  const harness = await open()
  for (const key of ['a', 'b']) for (const input of [0, 1]) harness.record('value', 10_000, key, input)
  await harness.commit(() => false)
  const later = await open()
  for (const [key, entry] of harness.state.entries) later.state.entries.set(key, entry)
  const slots = ({ state }: typeof harness) => state.entries.get('a')?.values.map(slot => slot?.entries.size)
  for (const { at, left } of [
    { at: 15_000, left: [1, 1] },
    { at: 18_000, left: [1, undefined] },
    { at: 70_000, left: [1, undefined] },
    { at: 72_000, left: undefined },
  ]) {
    for (const input of [0, 1]) later.watermark(at, input)
    assert.deepEqual(slots(later), left)
  }
  assert.equal(later.state.entries.size, 0)
  assert.equal(later.operator.eventTimers.size, 0)
})

test('joinWith with a ttl forgets a value that is older', async () => {
  const join = (left: string, right: string | undefined) => `${left} ${right}`
  const harness = await Harness.open(new JoinWithOperator({ join, time: 'event' }), joinWithStates(10))
  harness.record('value', 100, 'k', 1)
  for (const at of [100, 109, 110]) harness.record(`at ${at}`, at, 'k', 0)
  for (const input of [0, 1]) harness.watermark(200, input)
  assert.deepEqual(harness.values, ['at 100 value', 'at 109 value', 'at 110 undefined'])
})
