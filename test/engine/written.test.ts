import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as z from 'zod'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { Sink } from '../../runtime/connectors/sink.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { monotonous, ndjson, pipeline } from '../../runtime/index.ts'
import { LostRaceError } from '../../runtime/protocol/errors.ts'
import { scratch } from './events.ts'

test('a summary counts what was committed, by sink: neither what a failed attempt has written twice, nor only what came behind it', async t => {
  const path = join(scratch(t), 'in.ndjson')
  writeFileSync(path, Array.from({ length: 20 }, (_, n) => `${JSON.stringify({ n })}\n`).join(''))
  let flushes = 0
  /** Its third batch has to be done again. */
  const failing: Sink<unknown> = {
    kind: 'failing',
    describe: () => 'nowhere',
    open: async () => ({
      write() {},
      async flush() {
        if (++flushes === 3) throw new LostRaceError('somebody was faster')
        return undefined
      },
      async close() {},
    }),
  }
  const quiet: Sink<unknown> = {
    kind: 'quiet',
    describe: () => 'nowhere',
    open: async () => ({ write() {}, flush: async () => undefined, close: async () => {} }),
  }
  const app = pipeline('counted')
  const rows = app.source('rows', ndjson(z.object({ n: z.number() })), { time: row => row.n, watermark: monotonous() })
  rows.sink('all', failing)
  rows.filter(row => row.n % 2 === 0).sink('even', quiet)
  rows.filter(row => row.n < 0).sink('none', quiet)
  const { sinks, results } = await runEmbedded(app.graph(), { sources: { rows: fileSource([path]) }, batchSize: 5 })
  assert.ok(flushes > 4)
  assert.deepEqual(sinks, { all: 20, even: 10, none: 0 })
  assert.equal(results, 30)
})
