import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import * as z from 'zod'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { boundedOutOfOrderness, count, ndjson, pipeline, print, sliding } from '../../runtime/index.ts'

const View = z.object({ user: z.string(), item: z.string(), at: z.number() })

function views() {
  const app = pipeline('views')
  app
    .source('events', ndjson(View), { time: e => e.at, watermark: boundedOutOfOrderness('1s') })
    .keyBy('item')
    .window(sliding('10s', '5s'))
    .aggregate(count(), (n, { key, window }) => ({ item: key, n, start: window.start }))
    .sink('counts', print())
  return app
}

test('a windowed count runs from file to file, in memory and in a directory', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'))
  const events = Array.from({ length: 5000 }, (_, i) => ({
    user: `u${i % 7}`,
    item: `i${i % 13}`,
    at: 1_700_000_000_000 + i * 10,
  }))
  writeFileSync(join(dir, 'in.ndjson'), `${events.map(e => JSON.stringify(e)).join('\n')}\n`)
  const expected = new Map<string, number>()
  for (const e of events) {
    for (const start of [Math.floor(e.at / 5000) * 5000, Math.floor(e.at / 5000) * 5000 - 5000]) {
      const k = `${start}/${e.item}`
      expected.set(k, (expected.get(k) ?? 0) + 1)
    }
  }
  for (const [name, options] of Object.entries({
    memory: {},
    parallel: { parallelism: 4, batchSize: 100 },
    unchained: { chaining: false, parallelism: 2, batchSize: 7 },
    durable: { state: join(dir, 'state'), checkpointMs: 50 },
  })) {
    const out = join(dir, `${name}.ndjson`)
    const summary = await runEmbedded(views().graph(), {
      sources: { events: fileSource([join(dir, 'in.ndjson')]) },
      sinks: { counts: fileSink(out) },
      ...options,
    })
    assert.equal(summary.outcome, 'finished')
    assert.equal(summary.events, 5000)
    const rows = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map(l => JSON.parse(l))
    const found = new Map(rows.map(r => [`${r.start}/${r.item}`, r.n]))
    assert.equal(rows.length, found.size)
    assert.deepEqual(new Map([...found].sort()), new Map([...expected].sort()))
  }
})
