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
function totals(late: (e: Event) => Promise<Event>) {
  const app = pipeline('totals')
  app
    .source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
    .keyBy('user')
    .reduce((a, b) => ({ ...b, amount: a.amount + b.amount }))
    .mapAsync(async e => (e.user < 'u5' ? e : late(e)), { capacity: 10, timeout: '10s' })
    .keyBy('kind')
    .reduce((a, b) => ({ ...b, amount: Math.max(a.amount, b.amount) }))
    .sink('out', print())
  return app.graph()
}

const slow = (e: Event) => setTimeout(20, e)
const failing = () => Promise.reject(new Error('not today'))

async function recordsOnTheirWay(directory: string): Promise<number> {
  const ports = await openEmbedded({ directory })
  const { run } = (await readRun(ports))!
  const newest = Math.max(...(await listManifests(ports.blobs, run)))
  const { subtasks } = await readManifest(ports.blobs, run, newest)
  let records = 0
  const names = subtasks.flatMap(s => s.channelState)
  for await (const { data } of readChannelState(ports.blobs, names)) {
    const cursor = readFrame(data).reader()
    for (let type = cursor.next(); type >= 0; type = cursor.next()) if (type === ENTRY_RECORD) records++
  }
  await ports.close()
  return records
}

for (const before of ['', ', though what a run before had sent was still there']) {
  test(`an input that is kept open is through when the run has ended: all of it has come to the sinks, none is on its way${before}`, async t => {
    const dir = scratch(t)
    const input = writeEvents(join(dir, 'events.ndjson'), generate(300, 1))
    const [out, state] = [join(dir, 'out'), join(dir, 'state')]
    const run = (late: typeof slow) =>
      runEmbedded(totals(late), {
        sources: { events: fileSource([input]) },
        sinks: { out: fileSink(out) },
        state,
        parallelism: 2,
        keepOpen: true,
      })
    if (before !== '') await assert.rejects(run(failing), /not today/)
    const { outcome, events } = await run(slow)
    assert.deepEqual([outcome, events], ['kept open', before === '' ? 300 : 0])
    assert.equal(sortedLines(out).length, 300)
    assert.equal(await recordsOnTheirWay(state), 0)
  })
}
