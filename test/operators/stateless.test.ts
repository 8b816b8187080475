import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilterOperator } from '../../runtime/operators/filter.ts'
import { FlatMapOperator } from '../../runtime/operators/flat-map.ts'
import { MapOperator } from '../../runtime/operators/map.ts'
import type { Operator } from '../../runtime/operators/operator.ts'
import { SelectOperator } from '../../runtime/operators/select.ts'
import { UserCodeError } from '../../runtime/operators/user-code.ts'
import { Harness } from './harness.ts'

async function run(operator: Operator, ...values: unknown[]): Promise<unknown[]> {
  const harness = await Harness.open(operator)
  values.forEach((value, i) => {
    harness.record(value, i, 'key')
  })
  harness.watermark(100)
  assert.equal(harness.log.at(-1), 100)
  for (const out of harness.out) assert.equal(out.key, 'key')
  return harness.values
}

test('map, filter, flatMap and select', async () => {
  assert.deepEqual(await run(new MapOperator((n: number) => n * 2), 1, 2), [2, 4])
  assert.deepEqual(await run(new MapOperator(() => null), 1), [null])
  assert.deepEqual(await run(new FilterOperator((n: number) => n > 1), 1, 2), [2])
  assert.deepEqual(await run(new FlatMapOperator((n: number) => Array(n).fill(n)), 0, 1, 2), [1, 2, 2])
  const generator = function* (n: number) {
    yield n
    yield -n
  }
  assert.deepEqual(await run(new FlatMapOperator(generator), 1, 2), [1, -1, 2, -2])
  assert.deepEqual(await run(new SelectOperator(['a', 'b']), { a: 1, b: undefined, c: 2 }, { c: 1 }), [
    { a: 1, b: undefined },
    {},
  ])
})

test('what a function throws arrives with the operator and the time, its cause kept', async () => {
  const cause = new Error('boom')
  const fail = () => {
    throw cause
  }
  for (const operator of [new MapOperator(fail), new FilterOperator(fail), new FlatMapOperator(fail)]) {
    await assert.rejects(
      run(operator, 1),
      (error: UserCodeError) =>
        error instanceof UserCodeError && error.cause === cause && /operator 'test'.*boom/.test(error.message),
    )
  }
})

test('an error from further down the chain is not blamed on the function above', async () => {
  const below = new UserCodeError('below', 0, 'failed')
  const operator = new FlatMapOperator((n: number) => [n])
  const harness = await Harness.open(operator)
  Object.assign(operator.ctx.output, {
    record() {
      throw below
    },
  })
  assert.throws(() => harness.record(1, 0), below)
})

test('promises are refused where they would be taken for values', async () => {
  await assert.rejects(run(new MapOperator(async () => 1), 1), /map returned a Promise.*use mapAsync/)
  await assert.rejects(run(new FilterOperator((async () => false) as any), 1), /filter returned a Promise/)
  await assert.rejects(run(new FlatMapOperator((async () => []) as any), 1), /flatMap returned a Promise/)
  await assert.rejects(run(new FlatMapOperator((() => 'abc') as any), 1), /flatMap returned string/)
  await assert.rejects(run(new FlatMapOperator((() => undefined) as any), 1), /flatMap returned undefined/)
  await assert.rejects(run(new MapOperator(() => Promise.reject(new Error('later'))), 1), /map returned a Promise/)
})
