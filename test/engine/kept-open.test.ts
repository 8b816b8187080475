import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { readChannelState } from '../../runtime/checkpoint/channel-state.ts'
import { listManifests, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { monotonous, ndjson, pipeline, print } from '../../runtime/index.ts'
import { ENTRY_RECORD, readFrame } from '../../runtime/protocol/frame.ts'
import { Event, generate, scratch, sortedLines, writeEvents } from './events.ts'

/** Two stages behind the source. Of the first one subtask is slower than the other, so that the second has the barrier of one before the records of both. */
function totals() {
  const app = pipeline('totals')
  app
    .source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
    .keyBy('user')
    .reduce((a, b) => ({ ...b, amount: a.amount + b.amount }))
    .mapAsync(e => setTimeout(e.user < 'u5' ? 0 : 20, e), { capacity: 10, timeout: '10s' })
    .keyBy('kind')
    .reduce((a, b) => ({ ...b, amount: Math.max(a.amount, b.amount) }))
    .sink('out', print())
  return app.graph()
}

test('an input that is kept open is through when the run has ended: each record has come to the sinks, and none is on its way', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(300, 1))
  const [out, directory] = [join(dir, 'out'), join(dir, 'state')]
  const { outcome } = await runEmbedded(totals(), {
    sources: { events: fileSource([input]) },
    sinks: { out: fileSink(out) },
    state: directory,
    parallelism: 2,
    keepOpen: true,
  })
  assert.equal(outcome, 'kept open')
  assert.equal(sortedLines(out).length, 300)
  const ports = await openEmbedded({ directory })
  const { run } = (await readRun(ports))!
  const newest = Math.max(...(await listManifests(ports.blobs, run)))
  const { subtasks } = await readManifest(ports.blobs, run, newest)
  const names = subtasks.flatMap(s => s.channelState)
  let records = 0
  for await (const { data } of readChannelState(ports.blobs, names)) {
    const cursor = readFrame(data).reader()
    for (let type = cursor.next(); type >= 0; type = cursor.next()) if (type === ENTRY_RECORD) records++
  }
  await ports.close()
  assert.equal(records, 0)
})
