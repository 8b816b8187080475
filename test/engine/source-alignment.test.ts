import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { alignmentOf, sourceTimes } from '../../runtime/embedded/source-alignment.ts'
import { planFor } from '../../runtime/graph/plan-for.ts'
import { Topology } from '../../runtime/stage/topology.ts'
import twoPaces, { counts } from './children/two-paces.ts'
import { scratch } from './events.ts'

const EVENTS = 6_000
const BATCH = 50
const SPLITS = 2
/** Of 120 batches: more than are read before what state takes is told first, and fewer than the fast split is ahead where it does not wait. */
const FAR_AHEAD = 30

interface Reading {
  readonly windows: boolean
  /** Of the state: in bytes. */
  readonly stateMemory: number
  readonly threads?: number
}

/** How many batches the second of two splits was ever ahead of the first, which is slow. */
async function lead(t: TestContext, { windows, stateMemory, threads }: Reading): Promise<number> {
  const dir = scratch(t)
  const files = ['a', 'b'].map(name => join(dir, `${name}.ndjson`))
  for (const file of files) writeFileSync(file, Array.from({ length: EVENTS }, (_, i) => `${i * 100}\n`).join(''))
  const cells = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT))
  const data = { files, windows, cells }
  const { graph, ...bindings } = await twoPaces(data)
  const module = new URL('./children/two-paces.ts', import.meta.url)
  const { events } = await runEmbedded(graph, {
    ...bindings,
    batchSize: BATCH,
    stateMemory,
    parallelism: 2,
    ...(threads !== undefined && { threads: { count: threads, module, data } }),
  })
  assert.equal(events, SPLITS * EVENTS)
  return cells[2]! / BATCH
}

for (const threads of [undefined, 2]) {
  test(`a split waits for one of the same source that is behind in event time, ${threads ?? 'no'} threads`, async t => {
    const batches = await lead(t, { windows: true, stateMemory: 10_000, threads })
    assert.ok(batches <= FAR_AHEAD, `it was ${batches} of ${EVENTS / BATCH} batches ahead`)
  })

  test(`it waits neither where there is no state nor where there is memory for it, ${threads ?? 'no'} threads`, async t => {
    for (const reading of [
      { windows: false, stateMemory: 10_000 },
      { windows: true, stateMemory: 2 ** 30 },
    ]) {
      const batches = await lead(t, { ...reading, threads })
      assert.ok(batches > FAR_AHEAD, `it was ${batches} of ${EVENTS / BATCH} batches ahead`)
    }
  })
}

function alignments() {
  const graph = counts()
  const topology = new Topology(planFor(graph, {}, undefined), graph.name, '1-a', new Map([[0, SPLITS]]), {})
  const times = sourceTimes(topology)
  const [ahead, behind] = [0, 1].map(split => alignmentOf(times, topology, 0, split)) as [
    ReturnType<typeof alignmentOf>,
    ReturnType<typeof alignmentOf>,
  ]
  return { ahead, behind }
}

test('nobody waits for what has ended, or has nothing to read, nor longer than a second', () => {
  const { ahead, behind } = alignments()
  behind.advanced(1_000, 0)
  ahead.advanced(1_000, 0)
  assert.equal(ahead.isAhead(0), false)
  for (const watermark of [2_000, 3_000]) ahead.advanced(watermark, 0)
  assert.equal(ahead.isAhead(0), false)
  ahead.advanced(4_000, 0)
  assert.deepEqual([ahead.isAhead(0), ahead.isAhead(999), ahead.isAhead(1_000), behind.isAhead(0)], [true, true, false, false])
  behind.advanced(2_000, 0)
  assert.equal(ahead.isAhead(0), false)
  ahead.advanced(5_000, 0)
  assert.equal(ahead.isAhead(0), true)
  behind.left()
  assert.equal(ahead.isAhead(0), false)
  behind.advanced(2_500, 0)
  assert.equal(ahead.isAhead(0), true)
  behind.advanced(Number.POSITIVE_INFINITY, 0)
  assert.equal(ahead.isAhead(0), false)
})

test('what is read as it comes waits for nobody', () => {
  const { ahead, behind } = alignments()
  behind.advanced(1_000, 0)
  for (let now = 0; now < 10_000; now += 100) {
    ahead.advanced(500_000 + now, now)
    assert.equal(ahead.isAhead(now), false)
  }
  for (let now = 10_000; now < 12_000; now += 100) ahead.advanced(500_000 + 3 * now, now)
  assert.equal(ahead.isAhead(12_000), true)
})

test('a watermark without end, or beyond all times, is taken', () => {
  const { ahead, behind } = alignments()
  behind.advanced(0, 0)
  for (const watermark of [1_000, 2_000, 1e300, Number.POSITIVE_INFINITY]) ahead.advanced(watermark, 0)
  assert.equal(ahead.isAhead(0), false)
})
