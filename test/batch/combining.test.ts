import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { Combining, combinerFor } from '../../runtime/batch/combining.ts'
import type { KeyPart } from '../../runtime/graph/key.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { all, avg, count, max, min, monotonous, ndjson, pipeline, sliding, sum, tumbling } from '../../runtime/index.ts'
import { UserCodeError } from '../../runtime/operators/user-code.ts'
import { combinerOf } from '../../runtime/windows/combine.ts'

interface Sale {
  readonly shop: string
  readonly price: number
}

const any = { '~standard': { version: 1 as const, vendor: 'test', validate: (value: unknown) => ({ value: value as Sale }) } }

function sales() {
  const app = pipeline('sales')
  const keyed = app.source('sales', ndjson(any), { time: () => 0, watermark: monotonous() }).keyBy('shop')
  return { app, keyed }
}

/** Whether what goes to the window is added up before. */
function combines({ app }: ReturnType<typeof sales>): boolean {
  const { stages } = planPhysical(app.graph(), {})
  const window = stages.find(s => s.nodes.some(n => n.type === 'window'))!
  return combinerFor(window, window.inputs[0]!) !== undefined
}

test('only aggregates that are exact are added up before they travel', () => {
  const fits = (aggregate: any, windows = tumbling('1m')) => {
    const { app, keyed } = sales()
    keyed
      .window(windows)
      .aggregate(aggregate)
      .sink('out', { kind: 'none', open: async () => ({}) as any, describe: () => '' })
    return combines({ app, keyed })
  }
  assert.equal(fits(count()), true)
  assert.equal(fits(count(), sliding('10s', '4s')), true)
  assert.equal(fits(all({ n: count(), low: min('price'), high: max('price') })), true)
  assert.equal(fits(sum('price')), false)
  assert.equal(fits(avg('price')), false)
  assert.equal(fits(all({ n: count(), total: sum('price') })), false)
})

test('nothing is where a function in the stage of the window may look at the watermark', () => {
  const sink = { kind: 'none', open: async () => ({}) as any, describe: () => '' }
  const counted = (of: ReturnType<typeof sales>) => of.keyed.window(tumbling('1m')).aggregate(count())
  const watched = sales()
  counted(watched)
    .process((n, { currentWatermark }) => [{ n, currentWatermark }])
    .sink('out', sink)
  assert.equal(combines(watched), false)
  const mapped = sales()
  counted(mapped)
    .map(n => ({ n }))
    .sink('out', sink)
  assert.equal(combines(mapped), true)
})

test('what was added up amounts to the records, however often some of it had to go', () => {
  const combiner = combinerOf({ name: 'window', assigner: sliding('10s', '4s'), aggregate: count() })!
  const record = fc.record({
    at: fc.integer({ min: -50_000, max: 50_000 }),
    key: fc.integer({ min: 0, max: 3 }),
    flush: fc.nat(20),
  })
  fc.assert(
    fc.property(fc.array(record, { maxLength: 200 }), records => {
      const got = new Map<string, number>()
      const keep = (to: Map<string, number>, pane: number, key: KeyPart, n: number) =>
        to.set(`${pane} ${key}`, (to.get(`${pane} ${key}`) ?? 0) + n)
      let last = Number.NEGATIVE_INFINITY
      const combining = new Combining(combiner, 'w', (n, pane, key) => {
        assert.ok(pane >= last, 'in order of time')
        last = pane
        keep(got, pane, key, n as number)
      })
      const expected = new Map<string, number>()
      for (const { at, key, flush } of records) {
        combining.add({}, at, key)
        keep(expected, Math.floor(at / 2000) * 2000, key, 1)
        if (flush < 5) {
          last = Number.NEGATIVE_INFINITY
          combining.flush(flush)
        }
      }
      last = Number.NEGATIVE_INFINITY
      combining.flush(0)
      assert.deepEqual(new Map([...got].sort()), new Map([...expected].sort()))
    }),
  )
})

test('so many keys that they do not fit: some go, and come again', () => {
  const combiner = combinerOf({ name: 'window', assigner: tumbling('1m'), aggregate: count() })!
  let drained = 0
  let records = 0
  const combining = new Combining(combiner, 'w', n => {
    drained++
    records += n as number
  })
  for (let i = 0; i < 100_000; i++) combining.add({}, i % 2 === 0 ? 0 : 60_000, i)
  assert.ok(drained > 60_000, `${drained} of 100,000`)
  combining.flush(0)
  assert.equal(records, 100_000)
})

test('an aggregate that throws is told with the operator, the record and the key', () => {
  const combiner = combinerOf({ name: 'window', assigner: tumbling('1m'), aggregate: min('price') })!
  const combining = new Combining(combiner, 'window-1', () => {})
  assert.throws(
    () => combining.add({ price: 'free' }, 0, 'a'),
    (error: unknown) =>
      error instanceof UserCodeError &&
      error.operatorId === 'window-1' &&
      error.key === 'a' &&
      /min\('price'\)/.test(error.message),
  )
})
