import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AsyncCallError, AsyncTimeoutError } from '../../runtime/operators/async-attempts.ts'
import { type AsyncOptions, DEFAULT_BACKOFF, type KeyedAsyncCall } from '../../runtime/operators/async-options.ts'
import { MapAsyncOperator, type MapAsyncOptions } from '../../runtime/operators/map-async.ts'
import { MapAsyncBatchOperator, type MapAsyncBatchOptions } from '../../runtime/operators/map-async-batch.ts'
import type { Operator } from '../../runtime/operators/operator.ts'
import { settle } from './fake-clock.ts'
import { Harness } from './harness.ts'

const defaults: AsyncOptions<any, any> = {
  capacity: 2,
  timeoutMs: 1000,
  retries: 0,
  backoff: { ...DEFAULT_BACKOFF, jitter: 0 },
  order: 'ordered',
  onFailure: 'fail',
}

function open(options: Partial<MapAsyncOptions<any, any>> & Pick<MapAsyncOptions<any, any>, 'fn'>) {
  return Harness.open(new MapAsyncOperator({ ...defaults, ...options }))
}

function openBatch(options: Partial<MapAsyncBatchOptions<any, any>> & Pick<MapAsyncBatchOptions<any, any>, 'fn'>) {
  return Harness.open(new MapAsyncBatchOperator({ ...defaults, size: 3, waitMs: 50, ...options }))
}

/** Drains while the clock moves. */
async function drain(harness: Harness<Operator>): Promise<void> {
  let error: unknown
  let done = false
  void harness.drain().then(
    () => {
      done = true
    },
    thrown => {
      done = true
      error = thrown
    },
  )
  for (let i = 0; i < 10_000 && !done; i++) await harness.clock.advance(10)
  assert.ok(done, 'drain never came to its end')
  if (error !== undefined) throw error
}

const values = (harness: Harness<Operator>) => harness.log.map(entry => (typeof entry === 'number' ? `w${entry}` : entry.value))

test('results and watermarks leave in order, with never more calls than the capacity', async () => {
  const input = fc.array(fc.oneof(fc.record({ ms: fc.integer({ min: 0, max: 50 }) }), fc.constant('watermark' as const)), {
    maxLength: 40,
  })
  await fc.assert(
    fc.asyncProperty(
      input,
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom('ordered' as const, 'completed' as const),
      async (input, capacity, order) => {
        let running = 0
        let most = 0
        const harness = await open({
          capacity,
          order,
          fn: async ({ id, ms }: { id: number; ms: number }) => {
            most = Math.max(most, ++running)
            await harness.clock.sleep(ms)
            running--
            return id
          },
        })
        const expected: (string | number)[] = []
        for (const [id, step] of input.entries()) {
          if (step === 'watermark') harness.watermark(id)
          else harness.record({ id, ms: step.ms }, id)
          expected.push(step === 'watermark' ? `w${id}` : id)
          if (id % 7 === 0) await harness.clock.advance(10)
        }
        await drain(harness)
        assert.ok(most <= capacity)
        assert.equal(harness.clock.sleeping, 0)
        if (order === 'ordered') assert.deepEqual(values(harness), expected)
        // In any order, but between the same watermarks.
        else assert.deepEqual(bySegment(values(harness)), bySegment(expected))
      },
    ),
  )
})

function bySegment(log: (string | number)[]): (string | number)[][] {
  const segments: (string | number)[][] = [[]]
  for (const entry of log) {
    segments.at(-1)!.push(entry)
    if (typeof entry === 'string') segments.push([])
  }
  const numbers = (segment: (string | number)[]) => segment.filter(e => typeof e === 'number').sort((a, b) => a - b)
  return segments.map(segment => [...numbers(segment), ...segment.filter(e => typeof e === 'string')])
}

test('as completed, the faster call overtakes; in order, it waits', async () => {
  for (const order of ['ordered', 'completed'] as const) {
    const harness = await open({ order, fn: (ms: number) => harness.clock.sleep(ms).then(() => ms) })
    harness.record(30, 1)
    harness.record(10, 2)
    await drain(harness)
    assert.deepEqual(harness.values, order === 'ordered' ? [30, 10] : [10, 30])
  }
})

test('nothing leaves when a call ends, only when the stage feeds or drains', async () => {
  const harness = await open({ fn: async (n: number) => n })
  harness.record(1, 1)
  await settle()
  assert.deepEqual(harness.log, [])
  harness.record(2, 2)
  assert.deepEqual(harness.values, [1])
  await harness.drain()
  assert.deepEqual(harness.values, [1, 2])
})

test('a call gets the key as the user made it, the attempt and a signal', async () => {
  const calls: KeyedAsyncCall[] = []
  const harness = await open({
    fn: async (n: number, call) => {
      calls.push(call)
      return n
    },
  })
  harness.record(1, 1, '\u0001["a",1]')
  await harness.drain()
  assert.deepEqual(calls[0]!.key, ['a', 1])
  assert.equal(calls[0]!.attempt, 1)
  assert.equal(harness.out[0]!.key, '\u0001["a",1]')
})

test('failed calls are tried again after growing pauses, with jitter', async () => {
  for (const [random, pauses] of [
    [0, [100, 200, 300]],
    [0.5, [75, 150, 225]],
  ] as const) {
    const times: number[] = []
    const harness = await open({
      retries: 3,
      backoff: { initialMs: 100, maxMs: 300, factor: 2, jitter: 0.5 },
      fn: async (_: unknown, call) => {
        times.push(harness.clock.time)
        if (call.attempt <= 3) throw new Error('not yet')
        return call.attempt
      },
    })
    harness.random = random
    harness.record('x', 1)
    await drain(harness)
    assert.deepEqual(harness.values, [4])
    assert.deepEqual(
      times.slice(1).map((time, i) => time - times[i]!),
      pauses,
    )
  }
})

test('an error that says it is final is not tried again', async () => {
  let calls = 0
  const harness = await open({
    retries: 5,
    onFailure: 'drop',
    fn: async () => {
      calls++
      throw Object.assign(new Error('no such model'), { retryable: false })
    },
  })
  harness.record('x', 1)
  harness.watermark(1)
  await harness.drain()
  assert.equal(calls, 1)
  assert.deepEqual(harness.log, [1])
})

test('a call over its time-out is aborted, tried again, and leaves no timer', async () => {
  const signals: AbortSignal[] = []
  const harness = await open({
    timeoutMs: 40,
    retries: 1,
    fn: (n: number, call) => {
      signals.push(call.signal)
      return call.attempt === 1 ? new Promise(() => {}) : Promise.resolve(n)
    },
  })
  harness.record(1, 1)
  await drain(harness)
  assert.deepEqual(harness.values, [1])
  assert.ok(signals[0]!.reason instanceof AsyncTimeoutError)
  assert.equal(signals[1]!.aborted, false)
  assert.equal(harness.clock.sleeping, 0)
})

test('a failure can fail the batch, be dropped, go to a side output or be replaced', async () => {
  const fn = async (n: number) => {
    if (n === 2) throw new RangeError('two')
    return n
  }
  const run = async (onFailure: AsyncOptions<number, number>['onFailure'], order: 'ordered' | 'completed' = 'ordered') => {
    const harness = await open({ fn, onFailure, order, capacity: 1 })
    for (const n of [1, 2, 3]) harness.record(n, n)
    harness.watermark(3)
    await harness.drain()
    return harness
  }
  assert.deepEqual(values(await run('drop')), [1, 3, 'w3'])
  assert.deepEqual(values(await run('drop', 'completed')), [1, 3, 'w3'])
  assert.deepEqual(values(await run((error, value) => ((error as Error).message === 'two' ? -value : 0))), [1, -2, 3, 'w3'])
  const side = await run({ sideOutput: { id: 'failed' } })
  assert.deepEqual(values(side), [1, 3, 'w3'])
  assert.deepEqual(side.side('failed'), [{ value: 2, error: { name: 'RangeError', message: 'two' } }])
  await assert.rejects(run('fail'), (error: AsyncCallError) => {
    assert.ok(error instanceof AsyncCallError)
    assert.equal(error.retryable, true)
    assert.match(error.message, /operator 'test': a call was tried once and failed: RangeError: two/)
    return (error.cause as Error).message === 'two'
  })
})

test('after a failed batch the operator is as good as new', async () => {
  let broken = true
  const harness = await open({
    fn: async (n: number) => {
      if (n === 1 && broken) throw new Error('down')
      if (n === 2 && broken) return new Promise(() => {})
      return n
    },
  })
  harness.record(1, 1)
  harness.record(2, 2)
  harness.watermark(2)
  await assert.rejects(harness.drain(), AsyncCallError)
  assert.equal(harness.operator.pending, false)
  await settle()
  assert.equal(harness.clock.sleeping, 0)
  broken = false
  harness.record(1, 1)
  harness.record(2, 2)
  await harness.drain()
  assert.deepEqual(harness.values, [1, 2])
})

test('close cancels what runs, what waits to be tried again and what was not started', async () => {
  let started = 0
  const signals: AbortSignal[] = []
  const harness = await open({
    retries: 9,
    fn: (n: number, call) => {
      started++
      signals.push(call.signal)
      return n === 1 ? Promise.reject(new Error('again')) : new Promise(() => {})
    },
  })
  for (const n of [1, 2, 3]) harness.record(n, n)
  await settle()
  await harness.operator.close()
  await harness.clock.advance(100_000)
  assert.equal(started, 2)
  assert.equal(signals[1]!.aborted, true)
  assert.equal(harness.clock.sleeping, 0)
  assert.deepEqual(harness.log, [])
})

test('a hundred calls at a time cause no warning about listeners', async () => {
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  const harness = await open({ capacity: 100, fn: (n: number) => harness.clock.sleep(10).then(() => n) })
  for (let n = 0; n < 200; n++) harness.record(n, n)
  await drain(harness)
  await settle()
  process.off('warning', warned)
  assert.equal(harness.values.length, 200)
  assert.deepEqual(warnings, [])
})

test('batches: full ones go at once, the rest with the drain, all in order', async () => {
  const sizes: number[] = []
  const harness = await openBatch({
    fn: async (batch: number[]) => {
      sizes.push(batch.length)
      return batch.map(n => n * 10)
    },
  })
  for (let n = 0; n < 7; n++) {
    harness.record(n, n)
    harness.watermark(n)
  }
  assert.deepEqual(sizes, [3, 3])
  await harness.drain()
  assert.deepEqual(sizes, [3, 3, 1])
  assert.deepEqual(
    values(harness),
    [0, 1, 2, 3, 4, 5, 6].flatMap(n => [n * 10, `w${n}`]),
  )
  assert.equal(harness.clock.sleeping, 0)
})

test('a batch that does not fill goes after its wait', async () => {
  const calls: [number, number[]][] = []
  const harness = await openBatch({
    fn: async (batch: number[]) => {
      calls.push([harness.clock.time, batch])
      return batch
    },
  })
  harness.record(1, 1)
  await harness.clock.advance(20)
  harness.record(2, 2)
  await harness.clock.advance(200)
  assert.deepEqual(calls, [[50, [1, 2]]])
  assert.deepEqual(harness.log, [])
  await harness.drain()
  assert.deepEqual(harness.values, [1, 2])
})

test('batches: capacity counts calls, and a failed call fails for each of its records', async () => {
  let running = 0
  let most = 0
  const harness = await openBatch({
    onFailure: (_error, n: number) => -n,
    fn: async (batch: number[]) => {
      most = Math.max(most, ++running)
      await harness.clock.sleep(10)
      running--
      if (batch.includes(4)) throw new Error('four')
      return batch
    },
  })
  for (let n = 1; n <= 10; n++) harness.record(n, n)
  await drain(harness)
  assert.deepEqual(harness.values, [1, 2, 3, -4, -5, -6, 7, 8, 9, 10])
  assert.equal(most, 2)
})

test('a batch function with the wrong number of results is told so, and not called again', async () => {
  let calls = 0
  const harness = await openBatch({
    retries: 3,
    fn: async () => {
      calls++
      return []
    },
  })
  harness.record(1, 1)
  await assert.rejects(harness.drain(), /was given 1 values and returned 0 results: return one result for each value/)
  assert.equal(calls, 1)
})

test('close stops the wait of a batch', async () => {
  const harness = await openBatch({ fn: async () => assert.fail('called') })
  harness.record(1, 1)
  await harness.operator.close()
  await harness.clock.advance(1000)
  assert.equal(harness.clock.sleeping, 0)
})
