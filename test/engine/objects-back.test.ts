import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { listManifests, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { systemClock, systemRandom } from '../../runtime/embedded/clock.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import type { RunningJob, RunOptions } from '../../runtime/embedded/run-options.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { directoryBlobs } from '../../runtime/savepoint/directory.ts'
import { writeSavepoint } from '../../runtime/savepoint/write.ts'
import { memoryBlobs } from '../connectors/memory-blobs.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'
import { retained, watched } from './runs.ts'

// A writer that begins with no state of its own (another's successor, or that of a run with new sinks) numbers what it stages by its subtask's last cut; else going back does not find it.

function prepare(t: TestContext) {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(900, 7))
  const go = (bucket: Blobs, each: (read: number) => void, options: Partial<RunOptions>) =>
    runEmbedded(pipelines.process!().graph(), {
      sources: { events: watched(fileSource([input]), each) },
      sinks: { out: blobSink(bucket, 'out', 'out'), side: blobSink(bucket, 'side', 'side') },
      batchSize: 13,
      parallelism: 2,
      checkpointMs: 1,
      ...options,
    })
  return { at: (file: string) => join(dir, file), go }
}

async function all(...buckets: Blobs[]): Promise<string[]> {
  const rows: string[] = []
  for (const bucket of buckets)
    for (const end of ['out', 'side'])
      rows.push(...(await visibleRows(bucket, `${end}/`)).map(row => `${end} ${JSON.stringify(row)}`))
  return rows.sort()
}

test('going back behind a rescaling takes away what the new shards have shown', { timeout: 60_000 }, async t => {
  const { at, go } = prepare(t)
  const [whole, bucket, state] = [memoryBlobs(), memoryBlobs(), at('s')]
  await go(whole, () => {}, {})
  const first = new AbortController()
  await go(bucket, read => read > 300 && first.abort(), { state, signal: first.signal })
  const before = (await retained(state)).at(-1)!
  // One checkpoint more, at its end.
  const second = new AbortController()
  let job: RunningJob | undefined
  let done: Promise<unknown> | undefined
  const each = (read: number) => {
    if (read > 50) done ??= job!.rescale(4)
    if (read > 400) second.abort()
  }
  const onRunning = (running: RunningJob) => {
    job = running
  }
  await go(bucket, each, { state, signal: second.signal, checkpointMs: 1e9, onRunning })
  await done
  assert.ok(bucket.keys().some(key => /^out\/.*subtask-[2-5]/.test(key)))
  await go(bucket, () => {}, { state, from: { directory: state, checkpoint: before } })
  assert.deepEqual(await all(bucket), await all(whole))
})

test('going back to the savepoint that a run began with takes away all that it has shown', { timeout: 60_000 }, async t => {
  const { at, go } = prepare(t)
  const [whole, before, bucket] = [memoryBlobs(), memoryBlobs(), memoryBlobs()]
  await go(whole, () => {}, {})
  const first = new AbortController()
  await go(before, read => read > 300 && first.abort(), { state: at('a'), signal: first.signal })
  const n = await save(at('a'), at('savepoint'))
  const open = async () => ({ blobs: directoryBlobs(at('savepoint')), close: async () => {} })
  const from = { savepoint: { name: 'savepoint', open } }
  const state = at('b')
  const second = new AbortController()
  await go(bucket, read => read > 300 && second.abort(), { state, from, signal: second.signal, checkpointMs: 1e9 })
  assert.ok((await all(bucket)).length > 0)
  await go(bucket, () => {}, { state, from: { directory: state, checkpoint: n } })
  assert.deepEqual(await all(before, bucket), await all(whole))
})

/** The newest checkpoint of a state directory, as a savepoint. */
async function save(directory: string, place: string): Promise<number> {
  const ports = await openEmbedded({ directory })
  try {
    const { run } = (await readRun(ports))!
    const n = (await listManifests(ports.blobs, run)).at(-1)!
    const source = { kind: 'directory', name: directory } as const
    await writeSavepoint(await readManifest(ports.blobs, run, n), ports.blobs, directoryBlobs(place), source, {
      clock: systemClock,
      random: systemRandom,
    })
    return n
  } finally {
    await ports.close()
  }
}
