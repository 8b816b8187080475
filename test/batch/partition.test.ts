import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { localFiles } from '../../runtime/batch/input-files.ts'
import { partitionOf } from '../../runtime/batch/partition.ts'
import { cutFiles } from '../../runtime/batch/pieces.ts'
import { scratch } from '../engine/events.ts'

const day = (text: string) => Date.parse(`${text}Z`)

test('folders say of what time their files are', () => {
  const stretches: Record<string, [string, string] | undefined> = {
    'a/year=2026/f': ['2026-01-01T00:00', '2027-01-01T00:00'],
    'a/year=2026/month=12/f': ['2026-12-01T00:00', '2027-01-01T00:00'],
    'a/year=2026/month=2/day=28/f': ['2026-02-28T00:00', '2026-03-01T00:00'],
    'a/year=2026/month=02/day=03/hour=23/f': ['2026-02-03T23:00', '2026-02-04T00:00'],
    'a/region=eu/dt=2026-02-03/hour=05/f': ['2026-02-03T05:00', '2026-02-03T06:00'],
    'a/date=2026-02-03/f': ['2026-02-03T00:00', '2026-02-04T00:00'],
    'stream/2026/02/03/04/stream-1-2026-02-03-04-05-06-uuid.gz': ['2026-02-03T04:00', '2026-02-03T05:00'],
    'stream/2026/02/f': ['2026-02-01T00:00', '2026-03-01T00:00'],
    'backup/2020/01/stream/2026/02/03/f': ['2026-02-03T00:00', '2026-02-04T00:00'],
    'views/run=2026/checkpoint-000000000001-subtask-0.ndjson': undefined,
    'a/2026/f': undefined,
    'a/year=soon/month=01/f': undefined,
    'a/year=2026/month=13/f': undefined,
    '2026-02-03.ndjson': undefined,
  }
  for (const [path, expected] of Object.entries(stretches))
    assert.deepEqual(partitionOf(path), expected && { from: day(expected[0]), to: day(expected[1]) }, path)
})

test('files are listed in order of path, without what is hidden', async t => {
  const dir = scratch(t)
  const list = async (place: string) => (await localFiles.list(place)).map(({ path }) => path)
  for (const name of ['b/2.ndjson', 'b/_staging/x', 'a.ndjson', '.git/x', 'b/_SUCCESS', 'b/10.ndjson', '_old/y']) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), 'x\n')
  }
  assert.deepEqual(
    await list(dir),
    ['a.ndjson', 'b/10.ndjson', 'b/2.ndjson'].map(name => join(dir, name)),
  )
  assert.deepEqual(await list(join(dir, 'b/_SUCCESS')), [join(dir, 'b/_SUCCESS')])
})

test('a plain file is cut at ends of lines, and nothing is between its pieces', async t => {
  const path = join(scratch(t), 'lines')
  for (const lines of [
    ['a'.repeat(100)],
    Array.from({ length: 500 }, (_, i) => 'x'.repeat(i % 37)),
    ['', '', 'é'.repeat(300), 'z'],
  ]) {
    const text = lines.join('\n')
    writeFileSync(path, text)
    const size = Buffer.byteLength(text)
    for (const bytes of [1, 10, 333, 1_000_000]) {
      const pieces = await cutFiles([{ path }], bytes)
      let end = 0
      for (const { range = { from: 0, to: size } } of pieces) {
        assert.equal(range.from, end)
        assert.ok(range.to === size || Buffer.from(text)[range.to - 1] === 10)
        end = range.to
      }
      assert.equal(end, size)
      if (bytes >= size) assert.equal(pieces.length, 1)
    }
  }
})
