import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { all, avg, count, countDistinct, filtered, sum } from '../../runtime/api/aggregate.ts'
import { adds, type Change } from '../../runtime/operators/change.ts'
import { LATEST_STATES, LatestOperator } from '../../runtime/operators/latest.ts'
import { RUNNING_AGGREGATE_STATES, RunningAggregateOperator } from '../../runtime/operators/running-aggregate.ts'
import { RUNNING_TOP_N_STATES, RunningTopNOperator } from '../../runtime/operators/running-top-n.ts'
import { Harness } from './harness.ts'
import { both, type Seen, steps, type Value } from './steps.ts'

/** The rows that are there in the end, sorted. What is taken back has to be there, and a replaced row is followed by what replaces it. */
function folded(changes: readonly Change<unknown>[]): string[] {
  const rows: string[] = []
  for (const [i, { kind, row }] of changes.entries()) {
    const text = JSON.stringify(row)
    if (adds(kind)) rows.push(text)
    else {
      assert.ok(rows.includes(text), `${kind} ${text} takes back what is not there`)
      rows.splice(rows.indexOf(text), 1)
    }
    assert.equal(changes[i + 1]?.kind === '+U', kind === '-U')
  }
  return rows.sort()
}

const sorted = (rows: readonly unknown[]) => rows.map(row => JSON.stringify(row)).sort()
const groups = (seen: readonly Seen[]) => [...Map.groupBy(seen, s => s.key)]

test('a running aggregate has a row for each key, which follows the records', async () => {
  const aggregate = all({
    n: count(),
    large: filtered(count(), (v: Value) => v.n > 2),
    values: countDistinct('n'),
    sum: sum('n'),
  })
  const options = { aggregate, apply: (result: object, key: unknown) => ({ key, ...result }), changes: false }
  await fc.assert(
    fc.asyncProperty(steps, async steps => {
      const { harness, seen } = await both(() => new RunningAggregateOperator(options), RUNNING_AGGREGATE_STATES, steps, 1)
      const expected = groups(seen).map(([key, of]) => {
        const ns = of.map(s => s.n)
        return {
          key,
          n: ns.length,
          large: ns.filter(n => n > 2).length,
          values: new Set(ns).size,
          sum: ns.reduce((a, b) => a + b),
        }
      })
      assert.deepEqual(folded(harness.values), sorted(expected))
      assert.equal(harness.values.filter(c => c.kind !== '-U').length, seen.length)
    }),
  )
})

test('a running aggregate of a table takes back what is replaced, and a group without rows has none', async () => {
  const aggregate = all({ rows: count(), sum: sum('n'), mean: avg('n') })
  const options = { aggregate, apply: (result: object, key: unknown) => ({ key, ...result }), changes: true }
  const harness = await Harness.open(new RunningAggregateOperator(options), RUNNING_AGGREGATE_STATES)
  const change = (kind: string, n: number, key: string) => harness.record({ kind, row: { n } }, 0, key)
  change('+I', 4, 'a')
  change('+I', 2, 'a')
  change('-U', 4, 'a')
  change('+U', 6, 'b')
  change('-D', 6, 'b')
  assert.deepEqual(
    harness.values.map(({ kind, row }) => `${kind} ${Object.values(row).join(' ')}`),
    ['+I a 1 4 4', '-U a 1 4 4', '+U a 2 6 3', '-U a 2 6 3', '+U a 1 2 2', '+I b 1 6 6', '-D b 1 6 6'],
  )
  assert.throws(() => change('-D', 6, 'b'), /the aggregate threw .*taken back that was never there/)
  await harness.commit()
  assert.equal(harness.base.size, 1)
})

test('a row that stays as it is does not change', async () => {
  const options = { aggregate: countDistinct('n'), apply: (n: number) => ({ n }), changes: false }
  const harness = await Harness.open(new RunningAggregateOperator(options), RUNNING_AGGREGATE_STATES)
  for (const n of [1, 1, 1, 2]) harness.record({ n }, 0)
  assert.deepEqual(
    harness.values.map(({ kind, row }) => `${kind} ${row.n}`),
    ['+I 1', '-U 1', '+U 2'],
  )
})

test('a running top n holds the best of each key, with their ranks; of equal ones, the first', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 3 }), async (steps, n) => {
      const make = () => new RunningTopNOperator<Value>({ n, compare: (a, b) => b.n - a.n })
      const { harness, seen } = await both(make, RUNNING_TOP_N_STATES, steps, 1)
      const expected = groups(seen).flatMap(([, of]) =>
        of
          .map(s => s.value)
          .sort((a, b) => b.n - a.n || a.id - b.id)
          .slice(0, n)
          .map((value, i) => ({ rank: i + 1, value })),
      )
      assert.deepEqual(folded(harness.values), sorted(expected))
    }),
  )
})

test('latest holds the record of each key with the greatest time; of equal ones, the last', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async steps => {
      const { harness, seen } = await both(() => new LatestOperator<Value>(), LATEST_STATES, steps, 1)
      const expected = groups(seen).map(([, of]) => of.reduce((a, b) => (b.at >= a.at ? b : a)).value)
      assert.deepEqual(folded(harness.values), sorted(expected))
    }),
  )
})
