import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as z from 'zod'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { AsyncCallError, monotonous, ndjson, pipeline, print } from '../../runtime/index.ts'
import { scratch } from './events.ts'

test("a call that fails for good with onFailure 'fail' ends the run at once; run again, it goes on from there", async t => {
  const root = scratch(t)
  const path = join(root, 'in.ndjson')
  const rows = Array.from({ length: 20 }, (_, n) => ({ n }))
  writeFileSync(path, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  let down = true
  const calls: number[] = []
  const app = pipeline('calls')
  app
    .source('rows', ndjson(z.object({ n: z.number() })), { time: row => row.n, watermark: monotonous() })
    .mapAsync(
      async row => {
        calls.push(row.n)
        if (down && row.n === 13) throw new Error('the service is away')
        return row
      },
      { capacity: 1, retries: 2, backoff: { initial: 1 } },
    )
    .sink('out', print())
  const run = () =>
    runEmbedded(app.graph(), {
      state: join(root, 'state'),
      sources: { rows: fileSource([path]) },
      sinks: { out: fileSink(join(root, 'out.ndjson')) },
      batchSize: 5,
    })
  await assert.rejects(
    run(),
    (error: Error) => error instanceof AsyncCallError && /tried 3 times.*service is away/.test(error.message),
  )
  assert.equal(calls.filter(n => n === 13).length, 3, 'the attempts of one batch, and no other batch')
  down = false
  calls.length = 0
  const summary = await run()
  assert.deepEqual([summary.outcome, summary.resumed], ['finished', true])
  assert.ok(!calls.includes(0), 'what was committed is not called again')
  const written = readFileSync(join(root, 'out.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.deepEqual(written, rows)
})
