import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import app from '../../examples/recommendations/pipeline.ts'
import { scratch } from '../engine/events.ts'
import { plain } from '../recommendations/run.ts'
import { bounded, streaming, write } from './both.ts'
import { inOrder, linesOf } from './perfect.ts'

const SAMPLE = fileURLToPath(new URL('../../examples/recommendations/sample.ndjson.gz', import.meta.url))

test('the recommendations of a backfill of the sample are those of a streaming run, and of the plain computation', async t => {
  const dir = scratch(t)
  const lines = linesOf(SAMPLE).slice(0, 1200)
  const ordered = inOrder(app.graph(), 'events', lines)
  const file = write(join(dir, 'events.ndjson'), lines)
  const found = await bounded(app.graph(), { events: [file] }, join(dir, 'b'), { parallelism: 2, pieceBytes: 100_000 })
  assert.ok(found.recommendations!.length > 100)
  const expected = plain(ordered.map(line => JSON.parse(line)))
  for (const [sink, rows] of Object.entries(expected)) assert.deepEqual(found[sink], rows.toSorted(), sink)
  assert.deepEqual(await streaming(app.graph(), 'events', ordered, join(dir, 's')), found)
})

test('on events in order they are those of a streaming run with its own watermarks', async t => {
  const dir = scratch(t)
  const ordered = inOrder(app.graph(), 'events', linesOf(SAMPLE).slice(0, 1200))
  const file = write(join(dir, 'events.ndjson'), ordered)
  const found = await bounded(app.graph(), { events: [file] }, join(dir, 'b'))
  assert.ok(found.recommendations!.length > 100)
  assert.deepEqual(await streaming(app.graph(), 'events', ordered, join(dir, 's'), { perfect: false }), found)
})
