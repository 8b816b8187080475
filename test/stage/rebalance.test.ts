import assert from 'node:assert/strict'
import test from 'node:test'
import { customSink, monotonous, ndjson, type Pipeline, pipeline } from '../../runtime/index.ts'
import { batch, type Harness, harness } from '../engine/harness.ts'
import { Entry, entries } from '../engine/ledger.ts'

const INPUT = entries(60)

/** The times of the records that each subtask got. */
type Dealt = Map<number, number[]>

function source(name: string) {
  const app = pipeline(name)
  return { app, stream: app.source('entries', ndjson(Entry), { time: e => e.at, watermark: monotonous() }) }
}

const nowhere = () => customSink<unknown>({ name: 'nowhere', open: () => ({ write() {}, async flush() {} }) })

/** From the source's subtasks to three, to two, without a key. */
function chain(): Pipeline {
  const { app, stream } = source('dealt')
  stream
    .map(e => ({ ...e }))
    .parallelism(3)
    .map(e => e.at)
    .parallelism(2)
    .sink('out', nowhere())
  return app
}

async function recordsIn(h: Harness, stage: number): Promise<number[]> {
  const counts = []
  for (let shard = 0; shard < h.topology.stages[stage]!.parallelism; shard++) {
    counts.push((await h.environment(stage, shard).ready()).head.fields.counts.recordsIn)
  }
  return counts
}

async function deliverAll(h: Harness, stage: number): Promise<void> {
  for (let shard = 0; shard < h.topology.stages[stage]!.parallelism; shard++) await h.deliver(h.environment(stage, shard))
}

test('records without a key are shared out evenly where the number of subtasks changes, each once, up to the end', async () => {
  const h = await harness(chain())
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 60))
  await deliverAll(h, 1)
  await deliverAll(h, 2)
  assert.deepEqual(await recordsIn(h, 1), [20, 20, 20])
  assert.deepEqual(await recordsIn(h, 2), [30, 30])
  assert.deepEqual(
    h.results().sort((a, b) => a - b),
    INPUT.map(e => e.at),
  )
  for (const shard of [0, 1]) {
    assert.equal((await h.environment(2, shard).ready()).head.fields.watermark, Number.POSITIVE_INFINITY)
  }
})

test('a source with as many splits as there are subtasks keeps each in its own', async () => {
  const h = await harness(chain(), { splits: 3 })
  for (const [split, n] of [10, 20, 30].entries()) await h.environment(0, split).deliverSource(() => batch(INPUT, 0, n))
  await deliverAll(h, 1)
  assert.deepEqual(await recordsIn(h, 1), [10, 20, 30])
})

// If the turn were kept in memory, a cold attempt would deal records otherwise than the warm one that it replaces.
test('an attempt deals records as a warm one does after a restart, and many small commits favour nobody', async () => {
  const dealt = async (cold: boolean): Promise<Dealt> => {
    const { app, stream } = source('small')
    stream.sink('out', nowhere()).parallelism(3)
    const h = await harness(app)
    let warm = h.environment(0)
    for (let i = 0; i < 60; i += 2) {
      if (cold) warm = h.environment(0)
      await warm.deliverSource(() => batch(INPUT, i, i + 2))
    }
    const rows: Dealt = new Map()
    for (const shard of [0, 1, 2]) {
      const before = h.results().length
      await h.deliver(h.environment(1, shard))
      rows.set(
        shard,
        h
          .results()
          .slice(before)
          .map(e => e.at),
      )
    }
    return rows
  }
  const [warm, cold] = [await dealt(false), await dealt(true)]
  assert.deepEqual(cold, warm)
  assert.deepEqual(
    [...warm.values()].flat().sort((a, b) => a - b),
    INPUT.map(e => e.at),
  )
  for (const rows of warm.values()) assert.ok(rows.length > 10 && rows.length < 30, `${rows.length} of 60`)
})
