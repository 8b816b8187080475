import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { begin, compile, type Pattern } from '../../runtime/cep/pattern.ts'
import { MATCH_STATES, MatchOperator, type MatchOptions } from '../../runtime/operators/match.ts'
import { Harness } from '../operators/harness.ts'
import { both, steps, type Value } from '../operators/steps.ts'

interface Order {
  readonly type: string
  readonly amount: number
}

const open = (pattern: Pattern<Order, any>, options: Partial<MatchOptions<Order>> = {}) =>
  Harness.open(new MatchOperator<Order>({ pattern: compile(pattern), ...options }), MATCH_STATES)
const order = (type: string, amount = 0): Order => ({ type, amount })
const is = (type: string) => (event: Order) => event.type === type

test('a condition sees the events that the match has so far', async () => {
  const rising = begin<Order, 'first'>('first')
    .next('more')
    .where((event, { first, more }) => event.amount > (more.at(-1) ?? first[0]!).amount)
    .times(2)
    .consecutive()
  const harness = await open(rising)
  for (const [at, amount] of [3, 1, 2, 5, 4].entries()) harness.record(order('bid', amount), at)
  harness.watermark(Number.POSITIVE_INFINITY)
  const amounts = harness.values.map(match => [...match.first, ...match.more].map((o: Order) => o.amount))
  assert.deepEqual(amounts, [[1, 2, 5]])
})

test('records take their turn in order of time, and of the comparator where that is the same', async () => {
  const harness = await open(begin<Order, 'a'>('a').where(is('a')).next('b').where(is('b')), {
    compare: (a, b) => a.amount - b.amount,
  })
  harness.record(order('b', 2), 10)
  harness.record(order('b', 9), 20)
  harness.record(order('a', 1), 10)
  harness.record(order('a', 8), 20)
  harness.watermark(9)
  assert.equal(harness.values.length, 0)
  harness.watermark(10)
  assert.deepEqual(harness.values, [{ a: [order('a', 1)], b: [order('b', 2)] }])
  harness.watermark(20)
  assert.equal(harness.values.length, 2)
})

test('what takes too long and what comes too late goes aside', async () => {
  const [timedOut, late] = [{ id: 'timed out' }, { id: 'late' }]
  const pattern = begin<Order, 'a'>('a').where(is('a')).followedBy('b').where(is('b')).within(10)
  const harness = await open(pattern, { timedOutTag: timedOut, lateTag: late })
  harness.record(order('a', 1), 0)
  harness.record(order('a', 2), 5)
  harness.watermark(6)
  harness.record(order('b', 3), 6)
  harness.record(order('b', 4), 10)
  harness.watermark(9)
  assert.equal(harness.side('timed out').length, 0)
  harness.watermark(10)
  assert.deepEqual(harness.side('timed out'), [{ a: [order('a', 1)], b: [] }])
  assert.deepEqual(harness.side('late'), [order('b', 3)])
  assert.deepEqual(harness.values, [{ a: [order('a', 2)], b: [order('b', 4)] }])
  await harness.commit()
  assert.equal(harness.base.size, 0)
})

test('what did not happen is found when its time is over, with that time', async () => {
  const unpaid = begin<Order, 'order'>('order').where(is('order')).notFollowedBy('payment').where(is('payment')).within(10)
  const harness = await open(unpaid)
  harness.record(order('order'), 0, 'unpaid')
  harness.record(order('order'), 0, 'paid')
  harness.record(order('payment'), 9, 'paid')
  harness.watermark(50)
  assert.deepEqual(
    harness.out.map(({ key, timestamp }) => ({ key, timestamp })),
    [{ key: 'unpaid', timestamp: 10 }],
  )
})

test('cold state and commits change nothing, and nothing stays', async () => {
  const pattern = begin<Value, 'low'>('low')
    .where(v => v.n < 3)
    .oneOrMore()
    .followedBy('high')
    .where(v => v.n > 3)
    .notFollowedBy('zero')
    .where(v => v.n === 0)
    .within(15)
  const make = () => new MatchOperator<Value>({ pattern: compile(pattern), compare: (a, b) => a.id - b.id })
  await fc.assert(
    fc.asyncProperty(steps, async steps => {
      const { harness } = await both(make, MATCH_STATES, steps, 1)
      assert.equal(harness.base.size, 0)
    }),
    { numRuns: 50 },
  )
})
