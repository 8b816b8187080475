import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import * as z from 'zod'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { count, fileSink, fileSource, monotonous, ndjson, pipeline, print, sideOutput, tumbling } from '../../runtime/index.ts'

const Event = z.object({ key: z.string(), at: z.number() })
const late = sideOutput<z.infer<typeof Event>>('late')

function windows(kept: boolean) {
  const app = pipeline('late')
  const windowed = app
    .source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
    .keyBy('key')
    .window(tumbling(10))
  const counted = (kept ? windowed.lateTo(late) : windowed).aggregate(count())
  counted.sink('counts', print())
  if (kept) counted.sideOutput(late).sink('late', print())
  return app
}

test('late records that nobody takes are counted, once, also when their batch is small', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'))
  const times = [5, 15, 3, 25, 4, 26, 14, 40]
  writeFileSync(join(dir, 'in.ndjson'), times.map(at => `${JSON.stringify({ key: 'k', at })}\n`).join(''))
  const run = (kept: boolean, batchSize: number) =>
    runEmbedded(windows(kept).graph(), {
      batchSize,
      sources: { events: fileSource([join(dir, 'in.ndjson')]) },
      sinks: { counts: fileSink(join(dir, 'counts')), ...(kept ? { late: fileSink(join(dir, 'late')) } : {}) },
    })
  for (const batchSize of [1, 3, 1000]) {
    assert.equal((await run(false, batchSize)).late, 3)
    const kept = await run(true, batchSize)
    assert.equal(kept.late, 0)
    assert.equal(kept.sinks.late, 3)
  }
})
