import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { monotonous, ndjson, pipeline, print } from '../../runtime/index.ts'
import { decode } from '../../runtime/stage/decode.ts'

// One such record would be in no window, in no dead letters, and have everything behind it late.
test('a time that no date has is a dead letter', () => {
  const app = pipeline('times')
  const source = { time: (e: { at: number }) => e.at, watermark: monotonous() }
  app.source('events', ndjson(z.object({ at: z.number() })), source).sink('out', print())
  const spec = app.graph().nodes.find(node => node.source !== undefined)!.source!
  for (const at of ['1e300', '-1e300', '8640000000000001'])
    assert.deepEqual(decode(`{"at":${at}}`, spec), {
      ok: false,
      reason: `no timestamp: ${Number(at)} is no time in epoch ms`,
    })
  assert.deepEqual(decode('{"at":8.64e15}', spec), { ok: true, value: { at: 8.64e15 }, timestamp: 8.64e15 })
})
