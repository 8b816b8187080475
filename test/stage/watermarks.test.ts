import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { WatermarkMerge } from '../../runtime/operators/operator.ts'
import { emptyHead } from '../../runtime/protocol/item.ts'
import { Working } from '../../runtime/stage/working.ts'
import { boundedOutOfOrderness, monotonous } from '../../runtime/time/watermarks.ts'

const INF = Number.POSITIVE_INFINITY
const watermark = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -50, max: 50 }) },
  { weight: 1, arbitrary: fc.constant(INF) },
)

test("a stage's watermark is the minimum over its live producers, the maximum where none is, and only rises", () => {
  const idle = fc.constant(-INF)
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.tuple(fc.nat(3), fc.oneof({ weight: 6, arbitrary: watermark }, { weight: 1, arbitrary: idle })), {
        maxLength: 50,
      }),
      (producers, steps) => {
        const ids = Array.from({ length: producers }, (_, i) => 10 + i)
        const working = new Working(emptyHead, ids)
        const best = new Map<number, number>()
        const asleep = new Set<number>()
        let stage = -INF
        for (const [n, w] of steps) {
          const producer = ids[n % producers]!
          const risen = working.onWatermark(producer, w)
          if (w === -INF) asleep.add(producer)
          else {
            asleep.delete(producer)
            best.set(producer, Math.max(w, best.get(producer) ?? -INF))
          }
          const of = (p: number) => best.get(p) ?? -INF
          const live = ids.filter(p => !asleep.has(p)).map(of)
          // all asleep: as if those behind had fallen asleep first
          const least = live.length === 0 ? Math.max(...ids.map(of)) : Math.min(...live)
          // an end is none while somebody is only silent
          const unsure = least === INF && asleep.size > 0
          const expected = unsure ? stage : Math.max(stage, least)
          assert.equal(risen, expected > stage ? expected : undefined)
          stage = expected
          assert.equal(working.watermark, stage)
          assert.equal(working.allIdle, asleep.size === producers)
        }
      },
    ),
    { numRuns: 500 },
  )
})

test("an operator's watermark is the minimum of its inputs", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(fc.tuple(fc.nat(3), watermark), { maxLength: 40 }), (inputs, steps) => {
      const merge = new WatermarkMerge(inputs)
      const best = new Array<number>(inputs).fill(-INF)
      for (const [n, w] of steps) {
        const before = Math.min(...best)
        best[n % inputs] = Math.max(best[n % inputs]!, w)
        assert.equal(merge.update(n % inputs, w), Math.min(...best) > before)
        assert.equal(merge.current, Math.min(...best))
      }
    }),
  )
})

test('watermark = greatest timestamp so far - bound - 1; monotonous is the same with bound 0', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 1 }),
      fc.integer({ min: 0, max: 1e5 }),
      (times, bound) => {
        const bounded = boundedOutOfOrderness(bound).create()
        const rising = monotonous().create()
        let greatest = -INF
        for (const t of times) {
          greatest = Math.max(greatest, t)
          assert.equal(bounded.onRecord(t, undefined), greatest - bound - 1)
          assert.equal(rising.onRecord(t, undefined), greatest - 1)
        }
      },
    ),
  )
})
