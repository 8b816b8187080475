import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type BotState, judge, noBot } from '../../examples/recommendations/bots.ts'
import { plainKept } from './plain.ts'

function kept(times: number[]): number[] {
  let state: BotState = noBot
  return times.filter(time => {
    const judged = judge(state, time)
    state = judged.state
    return !judged.bot
  })
}

test('the 101st event in 10 s makes a bot for an hour; what came before stays', () => {
  const flood = Array.from({ length: 150 }, (_, i) => i * 99)
  const until = 100 * 99 + 3_600_000
  assert.deepEqual(kept([...flood, until - 1, until, until + 1]), [...flood.slice(0, 100), until, until + 1])
})

test('100 events in 10 s are no bot, nor are 101 in a millisecond more', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i)
  assert.equal(kept(hundred).length, 100)
  assert.equal(kept([...hundred, 10_000]).length, 101)
  assert.equal(kept([...hundred, 9_999]).length, 100)
})

test('out of order: an event from before the flag is kept, the flood is found behind a newer event', () => {
  const flood = Array.from({ length: 120 }, (_, i) => 50_000 + i)
  assert.deepEqual(kept([59_000, ...flood, 49_000]), [59_000, ...flood.slice(0, 100), 49_000])
})

test('the small state judges as the whole history does', () => {
  const burst = fc
    .tuple(fc.nat(40_000), fc.integer({ min: 1, max: 260 }), fc.integer({ min: 20, max: 120 }), fc.nat(9_000))
    .map(([start, count, gap, jitter]) => Array.from({ length: count }, (_, i) => start + i * gap + ((i * 7919) % (jitter + 1))))
  const hour = fc.constantFrom(0, 3_595_000, 3_600_000, 7_300_000)
  fc.assert(
    fc.property(fc.array(fc.tuple(burst, hour), { maxLength: 4 }), bursts => {
      // by the hour: what comes half an hour late is dropped before bots are looked for
      bursts.sort((a, b) => a[1] - b[1])
      const times = bursts.flatMap(([all, offset]) => all.map(time => time + offset))
      const events = times.map(timestamp => ({ user_id: 'u', item_id: 'i', event_type: 'view' as const, timestamp }))
      assert.deepEqual(
        kept(times),
        plainKept(events).map(one => one.event.timestamp),
      )
    }),
  )
})

test('the state of a user who is always just short of a bot stays small', () => {
  let state: BotState = noBot
  let most = 0
  for (let i = 0; i < 100_000; i++) {
    const judged = judge(state, i * 110 + ((i * 7919) % 10_000))
    state = judged.state
    most = Math.max(most, state.recent.length)
  }
  assert.ok(most > 150 && most < 310, `${most} times remembered`)
})
