import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import * as z from 'zod'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { count, fileSink, fileSource, monotonous, ndjson, pipeline, print, tumbling, value } from '../../runtime/index.ts'

const Event = z.object({ key: z.string(), at: z.number() })

test('at the end of the input processing-time windows fire, and a timer that sets itself again does not hold the end up', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'))
  const events = Array.from({ length: 300 }, (_, i) => ({ key: `k${i % 3}`, at: i }))
  writeFileSync(join(dir, 'in.ndjson'), events.map(e => `${JSON.stringify(e)}\n`).join(''))
  const app = pipeline('ends')
  const keyed = app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() }).keyBy('key')
  keyed
    .window(tumbling('1h', { time: 'processing' }))
    .aggregate(count(), (n, { key }) => ({ key, n }))
    .sink('windows', print())
  keyed
    .process({
      state: { seen: value<number>() },
      onRecord(_event, ctx) {
        ctx.state.seen.set((ctx.state.seen.get() ?? 0) + 1)
        if (ctx.state.seen.get() === 1) ctx.timers.processing.set(ctx.processingTime() + 3_600_000)
        return []
      },
      onTimer(at, ctx) {
        ctx.timers.processing.set(at + 1000)
        return [{ key: ctx.key, n: ctx.state.seen.get() }]
      },
    })
    .sink('timers', print())
  await runEmbedded(app.graph(), {
    sources: { events: fileSource([join(dir, 'in.ndjson')]) },
    sinks: { windows: fileSink(join(dir, 'windows.ndjson')), timers: fileSink(join(dir, 'timers.ndjson')) },
  })
  for (const name of ['windows', 'timers']) {
    const rows = readFileSync(join(dir, `${name}.ndjson`), 'utf8')
      .trim()
      .split('\n')
      .map(l => JSON.parse(l))
    assert.deepEqual(
      rows,
      ['k0', 'k1', 'k2'].map(key => ({ key, n: 100 })),
      name,
    )
  }
})
