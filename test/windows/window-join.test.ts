import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createWindowJoinOperator, type WindowJoinOptions, windowJoinStates } from '../../runtime/operators/window-join.ts'
import { session, sliding, tumbling } from '../../runtime/windows/assigners.ts'
import { Harness } from '../operators/harness.ts'

type Step = { side: 0 | 1; key: string; at: number } | { side: 0 | 1; by: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        side: fc.constantFrom<0 | 1>(0, 1),
        key: fc.constantFrom('a', 'b'),
        at: fc.integer({ min: -8, max: 12 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ side: fc.constantFrom<0 | 1>(0, 1), by: fc.nat(9) }) },
  ),
  { maxLength: 60, size: 'max' },
)

test('join and coGroup in sliding windows hold what both sides had before the window fired', async () => {
  const width = fc.integer({ min: 1, max: 12 })
  await fc.assert(
    fc.asyncProperty(steps, width, width, fc.boolean(), async (list, size, slide, cold) => {
      const assigner = sliding(size, slide)
      const pairs: WindowJoinOptions = { name: 'j', assigner, join: (l, r, { key, window }) => `${key} ${window.start} ${l}${r}` }
      const groups: WindowJoinOptions = {
        name: 'g',
        assigner,
        late: { id: 'late' },
        coGroup: (l, r, { key, window, emit }) => emit(`${key} ${window.start} ${l}|${r}`),
      }
      const expected = joined(list, size, slide)
      assert.deepEqual((await play(pairs, list, cold)).values, expected.pairs)
      const grouped = await play(groups, list, cold)
      assert.deepEqual(grouped.values, expected.groups)
      assert.deepEqual(grouped.side('late'), expected.late)
    }),
    { numRuns: Number(process.env.FC_RUNS ?? 200) },
  )
})

test('sessions of both sides merge', async () => {
  const options: WindowJoinOptions = {
    name: 'j',
    assigner: session<any>(v => v.gap),
    coGroup: (l, r, ctx) => ctx.emit([l.length, r.length]),
  }
  const harness = await Harness.open(createWindowJoinOperator(options), windowJoinStates(options))
  harness.record({ gap: 5 }, 0, 'k', 0)
  harness.record({ gap: 5 }, 9, 'k', 0)
  harness.record({ gap: 5 }, 4, 'k', 1)
  harness.watermark(Number.POSITIVE_INFINITY, 0)
  assert.deepEqual(harness.out, [])
  harness.watermark(Number.POSITIVE_INFINITY, 1)
  assert.deepEqual(harness.out, [{ value: [2, 1], timestamp: 13, key: 'k' }])
})

test('it needs join or coGroup', () => {
  assert.throws(() => createWindowJoinOperator({ name: 'j', assigner: tumbling(10) }), /window operator 'j'.*exactly one/)
})

async function play(options: WindowJoinOptions, list: readonly Step[], cold: boolean) {
  const harness = await Harness.open(createWindowJoinOperator(options), windowJoinStates(options))
  const time = [0, 0]
  let id = 0
  for (const step of list) {
    if ('by' in step) {
      time[step.side]! += step.by
      harness.watermark(time[step.side]!, step.side)
    } else harness.record(id++, Math.min(...time) + step.at, step.key, step.side)
    if (cold) await harness.commit()
  }
  for (const side of [0, 1]) harness.watermark(Number.POSITIVE_INFINITY, side)
  await harness.drain()
  return harness
}

/** From the definition: a window's contents are the records that came before the watermark passed its end. */
function joined(list: readonly Step[], size: number, slide: number) {
  const records: { id: number; side: number; key: string; timestamp: number; watermark: number }[] = []
  const time = [0, 0]
  let watermark = Number.NEGATIVE_INFINITY
  let id = 0
  const heard = [false, false]
  for (const step of list) {
    if ('by' in step) {
      time[step.side]! += step.by
      heard[step.side] = true
      if (heard[0] && heard[1]) watermark = Math.min(...time)
    } else records.push({ id: id++, side: step.side, key: step.key, timestamp: Math.min(...time) + step.at, watermark })
  }
  const pairs: string[] = []
  const groups: string[] = []
  const used = new Set<number>()
  for (let start = -slide * 40; start < 700; start += slide) {
    for (const key of ['a', 'b']) {
      const inside = records.filter(
        r => r.key === key && start <= r.timestamp && r.timestamp < start + size && start + size - 1 > r.watermark,
      )
      for (const r of inside) used.add(r.id)
      const [left, right] = [0, 1].map(side => inside.filter(r => r.side === side).map(r => r.id)) as [number[], number[]]
      for (const l of left) for (const r of right) pairs.push(`${key} ${start} ${l}${r}`)
      if (inside.length > 0) groups.push(`${key} ${start} ${left}|${right}`)
    }
  }
  const late = records.filter(r => !used.has(r.id) && r.timestamp <= r.watermark).map(r => r.id)
  return { pairs, groups, late }
}
