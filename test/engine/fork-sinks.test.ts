import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { Sink } from '../../runtime/connectors/sink.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { memoryBlobs } from '../connectors/memory-blobs.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'
import { retained, watched } from './runs.ts'

// A fork writes to the sinks that the original writes to, if the pipeline says so: nothing of the original's is taken away, and it can go on.

type Sinks = Readonly<Record<'out' | 'side', Sink<any>>>

const inObjects = (bucket: Blobs): Sinks => ({ out: blobSink(bucket, 'out', 'out'), side: blobSink(bucket, 'side', 'side') })
const inFiles = (path: string): Sinks => ({ out: fileSink(`${path}.out`), side: fileSink(`${path}.side`) })

function prepare(t: TestContext) {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(900, 7))
  /** To the end, or until `records` were read; `dies`: in the middle of them. */
  const go = (sinks: Sinks, options: Partial<RunOptions>, records = Number.POSITIVE_INFINITY, dies = false) => {
    const stop = new AbortController()
    const events = watched(fileSource([input]), read => {
      if (read > records && dies) throw new Error('killed')
      if (read > records) stop.abort()
    })
    const graph = pipelines.process!().graph()
    return runEmbedded(graph, {
      sources: { events },
      sinks,
      batchSize: 13,
      parallelism: 2,
      checkpointMs: 1,
      signal: stop.signal,
      ...options,
    })
  }
  return { at: (name: string) => join(dir, name), go }
}

async function rowsIn(bucket: Blobs, run: string): Promise<unknown[]> {
  return [...(await visibleRows(bucket, `out/run=${run}/`)), ...(await visibleRows(bucket, `side/run=${run}/`))]
}

test('a fork takes no objects of the original away, and shows its own beside them', { timeout: 60_000 }, async t => {
  const { at, go } = prepare(t)
  const bucket = memoryBlobs()
  const { run } = await go(inObjects(bucket), { state: at('s') }, 600)
  const before = await rowsIn(bucket, run)
  const [oldest] = await retained(at('s'))
  const fork = await go(inObjects(bucket), { state: at('f'), from: { directory: at('s'), checkpoint: oldest! } })
  assert.deepEqual(await rowsIn(bucket, run), before)
  assert.ok((await rowsIn(bucket, fork.run)).length > 0)
})

test('an original that died with something staged goes on behind a fork', { timeout: 60_000 }, async t => {
  const { at, go } = prepare(t)
  const [whole, bucket] = [memoryBlobs(), memoryBlobs()]
  const all = await go(inObjects(whole), {})
  const { run } = await go(inObjects(bucket), { state: at('s') }, 300)
  await assert.rejects(go(inObjects(bucket), { state: at('s'), checkpointMs: 1e9 }, 400, true), /killed/)
  assert.ok(bucket.keys().some(key => key.startsWith('_staging/')))
  await go(inObjects(bucket), { state: at('f'), from: { directory: at('s') } }, 10)
  await go(inObjects(bucket), { state: at('s') })
  const sorted = (rows: unknown[]) => rows.map(row => JSON.stringify(row)).sort()
  assert.deepEqual(sorted(await rowsIn(bucket, run)), sorted(await rowsIn(whole, all.run)))
})

test("a fork from an older checkpoint is refused the original's file, which stays as it is; with one of its own it is not", {
  timeout: 60_000,
}, async t => {
  const { at, go } = prepare(t)
  const read = () => ['out', 'side'].map(end => readFileSync(at(`o.${end}`), 'utf8'))
  await go(inFiles(at('o')), { state: at('s') }, 600)
  const before = read()
  const [oldest] = await retained(at('s'))
  const from = { directory: at('s'), checkpoint: oldest! }
  await assert.rejects(
    go(inFiles(at('o')), { state: at('f'), from }),
    /holds more than the checkpoint that the fork starts from, and a fork takes nothing of the original's output away: give it a file of its own/,
  )
  await go(inFiles(at('p')), { state: at('f'), from })
  assert.deepEqual(read(), before)
  await go(inFiles(at('o')), { state: at('s') })
})
