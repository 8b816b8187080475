import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import app from '../../examples/recommendations/pipeline.ts'
import { traffic } from '../../examples/recommendations/traffic.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { readEvents } from './plain.ts'
import { delayed, directory, plain, run, sorted, write } from './run.ts'

const SAMPLE = fileURLToPath(new URL('../../examples/recommendations/sample.ndjson.gz', import.meta.url))
const HOUR = 3_600_000

test('the plan has three shuffles', () => {
  const plan = planPhysical(app.graph(), { parallelism: 4 })
  assert.equal(plan.stages.filter(stage => stage.source === undefined).length, 3)
})

test('the sample gives what the plain computation gives, line for line', async () => {
  assert.deepEqual(await run([SAMPLE]), plain(readEvents(SAMPLE)))
})

test('parallelism, batch sizes, chaining, a state directory and cold state change nothing', async () => {
  const events = [...traffic({ users: 12, minutes: 10, rate: 1.5, seed: 7, bots: 1 })]
  const input = write(join(directory(), 'events.ndjson'), events)
  const expected = plain(events)
  assert.ok(expected.recommendations.length > 300 && expected.trending.length > 50)
  assert.deepEqual(await run([input]), expected)
  const others = {
    'parallelism 4': { parallelism: 4 },
    'batches of one': { batchSize: 1, parallelism: 2 },
    'unchained, large batches': { chaining: false, batchSize: 10_000 },
    'cold, on disk': { state: directory(), stateMemory: 1, checkpointMs: 100, batchSize: 50, parallelism: 2 },
  }
  for (const [name, options] of Object.entries(others)) {
    assert.deepEqual(sorted(await run([input], options)), sorted(expected), name)
  }
})

// An event that is later than the disorder that is waited for is judged by how far the watermark has come, so this breaks when any operator sees
// another watermark than that of the events before: behind a shuffle from several subtasks, say. Duplicates come up to two hours
// late, when ids are forgotten.
test('events that come hours late, and twice, count alike at any parallelism', async () => {
  const events = delayed([...traffic({ users: 5, minutes: 200, rate: 0.12, seed: 3, bots: 1 })], 5, 2 * HOUR)
  const input = write(join(directory(), 'late.ndjson'), events)
  const expected = plain(events)
  assert.deepEqual(await run([input]), expected)
  assert.deepEqual(sorted(await run([input], { parallelism: 4, batchSize: 100 })), sorted(expected))
})

test('two files that follow each other give what one file gives', async () => {
  const events = [...traffic({ users: 8, minutes: 10, rate: 1, seed: 9, bots: 0 })].sort((a, b) => a.timestamp - b.timestamp)
  const middle = events.length >> 1
  const dir = directory()
  const inputs = [write(join(dir, '1.ndjson'), events.slice(0, middle)), write(join(dir, '2.ndjson'), events.slice(middle))]
  assert.deepEqual(sorted(await run(inputs)), sorted(plain(events)))
})
