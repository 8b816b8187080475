import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { SpillError } from '../../runtime/batch/error.ts'
import { mergeRuns, type SpilledRuns } from '../../runtime/batch/merge.ts'
import { RunFile, RunWriter } from '../../runtime/batch/run-file.ts'
import { scratch, seeded } from '../engine/events.ts'

/** One task's records, in the order in which they were made, as it spills them: a run begins where time falls. */
function spill(path: string, times: readonly number[], name: string): SpilledRuns {
  const file = new RunFile(path)
  const writer = new RunWriter(file)
  for (const [i, time] of times.entries()) writer.add(i % 3, { from: name, i }, time, `k${i}`)
  writer.endFrame()
  file.close()
  return { path, runs: writer.runs }
}

async function merged(inputs: readonly SpilledRuns[], scratchFile: () => RunFile) {
  const found: { time: number; from: string; i: number; edge: number; key: unknown }[] = []
  const records = await mergeRuns(inputs, scratchFile)
  do {
    while (records.next()) {
      const { from, i } = records.value as { from: string; i: number }
      found.push({ time: records.timestamp, from, i, edge: records.edge, key: records.key })
    }
  } while (await records.load())
  assert.equal(found.length, records.records)
  return found
}

// Runs that overlap more than are read at a time are merged in groups first, and a record that comes twice, is left out, or changes places with one of its time would show here.
for (const tasks of [1, 3, 40]) {
  test(`records of ${tasks} tasks come in order of time, then of task, then as they were made`, async t => {
    const dir = scratch(t)
    const random = seeded(tasks)
    const inputs: SpilledRuns[] = []
    const expected: { time: number; from: string; i: number }[] = []
    for (let task = 0; task < tasks; task++) {
      // Few times, many ties; in many runs, since they fall all the time.
      const times = Array.from({ length: 200 }, () => Math.floor(random() * 50))
      inputs.push(spill(join(dir, `${task}`), times, `t${task}`))
      expected.push(...times.map((time, i) => ({ time, from: `t${task}`, i })))
    }
    expected.sort((a, b) => a.time - b.time) // stable
    let files = 0
    const found = await merged(inputs, () => new RunFile(join(dir, `scratch-${files++}`)))
    assert.deepEqual(
      found,
      expected.map(e => ({ ...e, edge: e.i % 3, key: `k${e.i}` })),
    )
    assert.ok(files > 0, 'so many runs that some were merged first')
  })
}

test('runs that follow each other need no merge before the merge', async t => {
  const dir = scratch(t)
  const inputs = Array.from({ length: 100 }, (_, n) => spill(join(dir, `${n}`), [n * 10, n * 10 + 5, n * 10 + 10], `t${n}`))
  const found = await merged(inputs, () => assert.fail('a scratch file'))
  assert.equal(found.length, 300)
})

test('a spilled file that has gone, or become shorter, is named', async t => {
  const dir = scratch(t)
  const path = join(dir, 'spilled')
  const input = spill(path, [1, 2, 3], 't')
  const shorter = { path, runs: [{ ...input.runs[0]!, frames: [[0, 10_000, 0] as const] }] }
  const gone = { ...input, path: join(dir, 'gone') }
  for (const damaged of [shorter, gone]) {
    const message = { name: 'SpillError', message: new RegExp(`${damaged.path}, which an earlier stage`) }
    await assert.rejects(
      merged([damaged], () => assert.fail()),
      (error: unknown) => error instanceof SpillError && message.message.test(error.message),
    )
  }
})
