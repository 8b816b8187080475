import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { seeded } from '../engine/events.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { CheckpointedRun, type Faults, faultyBlobs, finish, play, type Row, SUBTASKS, step } from './checkpointed.ts'
import { memoryBlobs } from './memory-blobs.ts'

/** What readers of the objects see. */
const visible = (bucket: Blobs): Promise<Row[]> => visibleRows(bucket, 'out/')

const ids = (rows: readonly Row[]) => rows.map(({ id }) => id)
const nothing = () => Array<undefined>(SUBTASKS).fill(undefined)

function world(seed: number, rate: number) {
  const faults: Faults = { rate, random: seeded(seed) }
  const bucket = memoryBlobs()
  const sink = blobSink(faultyBlobs(bucket, faults), 'out', 's3://bucket/out')
  return { faults, bucket, sink }
}

test('objects hold each record once, at every moment, and none before its checkpoint is complete', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer(),
      fc.constantFrom(0, 0.02, 0.05, 0.15),
      async (steps, seed, rate) => {
        const { faults, bucket, sink } = world(seed, rate)
        const run = new CheckpointedRun(sink, 'r1', memoryBlobs(), faults, nothing())
        for (const s of steps) {
          await play(run, [s])
          const seen = ids(await visible(bucket))
          const complete = new Set(run.complete.length === 0 ? [] : ids(run.upTo(run.complete.length - 1)))
          assert.equal(new Set(seen).size, seen.length, 'a record is seen twice')
          for (const id of seen) assert.ok(complete.has(id), `${id} came too early`)
        }
        await finish(run)
        faults.rate = 0
        assert.ok(await run.commitSinks())
        assert.deepEqual(ids(await visible(bucket)).sort(), ids(run.committed.flat()).sort())
        const waiting = bucket.keys().filter(key => key.includes('/staged/'))
        assert.deepEqual(waiting, [])
      },
    ),
    { numRuns: 300 },
  )
})

test('a run that starts from any checkpoint takes the later objects of the old one away', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      fc.array(step, { maxLength: 15 }),
      fc.integer(),
      fc.nat(),
      async (before, after, seed, pick) => {
        const { faults, bucket, sink } = world(seed, 0.03)
        const old = new CheckpointedRun(sink, 'r1', memoryBlobs(), faults, nothing())
        await play(old, [...before, { what: 'cut', complete: true, size: 2 }])
        const index = pick % old.complete.length
        const next = await old.restored('r2', index, memoryBlobs())
        await play(next, after)
        await finish(next)
        const expected = [...old.upTo(index), ...next.committed.flat()]
        assert.deepEqual(ids(await visible(bucket)).sort(), ids(expected).sort())
      },
    ),
    { numRuns: 200 },
  )
})
