import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { objectsOf } from '../../runtime/batch/json-objects.ts'
import { openPiece } from '../../runtime/batch/piece-reader.ts'
import { cutFiles, type Piece } from '../../runtime/batch/pieces.ts'
import { scratch } from '../engine/events.ts'

async function recordsOf(piece: Piece): Promise<string[]> {
  const reader = await openPiece(piece, () => {})
  const records: string[] = []
  try {
    for (;;) {
      const batch = await reader.read(undefined, Number.POSITIVE_INFINITY)
      records.push(...batch.records.map(String))
      if (batch.done) return records
    }
  } finally {
    await reader.close()
  }
}

async function readBack(path: string, content: string | Uint8Array): Promise<string[]> {
  writeFileSync(path, content)
  const [piece] = await cutFiles([{ path }])
  return recordsOf(piece!)
}

const rows = Array.from({ length: 3000 }, (_, i) =>
  JSON.stringify({ i, text: ['}{', '"', '\\', 'é', '{"a":1}'][i % 5], in: { more: [{}] } }),
)

test('objects without a newline between them, as Firehose writes them, plain and packed in several members', async t => {
  const path = join(scratch(t), 'objects')
  const half = rows.length / 2
  const parts = [rows.slice(0, half).join(''), rows.slice(half).join('')]
  assert.deepEqual(await readBack(path, parts.join('')), rows)
  assert.deepEqual(await readBack(path, Buffer.concat(parts.map(part => gzipSync(part)))), rows)
  assert.deepEqual(await readBack(path, Buffer.concat(parts.map(part => zstdCompressSync(part)))), rows)
  assert.deepEqual(await readBack(path, `${parts[0]}\n${parts[1]}\r\n`), rows)
})

// Of 9 MB in one line no batch holds all: it is cut behind an object.
test('one line of many objects may be longer than what is read at a time', async t => {
  const long = Array.from({ length: 9000 }, (_, i) => JSON.stringify({ i, text: 'x'.repeat(1000) }))
  assert.deepEqual(await readBack(join(scratch(t), 'line'), gzipSync(long.join(''))), long)
})

test('a line that is no list of objects stays whole: it is a dead letter for its own reason', () => {
  for (const line of ['{"a":1}{"b":', '{"a":1}}{', '[1]{"a":1}', '{"a":"}{"}', '{"a":1}{"b":2}x'])
    assert.deepEqual(objectsOf(line), [line])
  assert.deepEqual(objectsOf('{"a":1} {"b":"\\"}{"}\t'), ['{"a":1}', '{"b":"\\"}{"}'])
})

test('a packed file that was cut off, or is damaged, is named', async t => {
  const path = join(scratch(t), 'broken.gz')
  const whole = gzipSync(rows.join('\n'))
  await assert.rejects(
    readBack(path, whole.subarray(0, whole.length / 2)),
    /broken\.gz can't be read to its end: its gzip was cut off/,
  )
  await assert.rejects(
    readBack(path, Buffer.concat([whole.subarray(0, 2000), Buffer.alloc(500, 7)])),
    /broken\.gz can't be read to its end/,
  )
})

test('CSV: the first row names the columns; quotes, newlines and commas in cells; numbers as JSON has them', async t => {
  const csv = '\ufeffid,n,when,note,ok\r\n007,12.5,1700000000000,"a ""b"", c\nd",true\r\nx,1e3,,plain,\r\n'
  const expected = [
    { id: '007', n: 12.5, when: 1_700_000_000_000, note: 'a "b", c\nd', ok: true },
    { id: 'x', n: '1e3', note: 'plain' },
  ]
  for (const [name, content] of [
    ['a.csv', csv],
    ['a.csv.gz', gzipSync(csv)],
  ] as const) {
    const records = await readBack(join(scratch(t), name), content)
    assert.deepEqual(
      records.map(r => JSON.parse(r)),
      expected,
    )
  }
  // A header that was put in front of rows of another system; and each end of a line at the end of what was read, too.
  const mixed = ['n,t\n1,a\r\n2,b\r\n', 'n,t\r\n1,a\n2,b', 'n,t\r1,a\r2,b\r']
  for (const content of mixed)
    assert.deepEqual(await readBack(join(scratch(t), 'mixed.csv'), content), ['{"n":1,"t":"a"}', '{"n":2,"t":"b"}'])
  await assert.rejects(readBack(join(scratch(t), 'b.csv'), 'a,b\n1,"2\n'), /b\.csv can't be read as CSV/)
})

test('Parquet: a piece for each row group; times as epoch ms, 64 bit numbers as numbers where they are exact', async t => {
  const path = join(scratch(t), 'rows.parquet')
  const n = 2500
  const at = Array.from({ length: n }, (_, i) => new Date(1_700_000_000_000 + i))
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'at', data: at, type: 'TIMESTAMP' },
      { name: 'count', data: at.map((_, i) => BigInt(i)), type: 'INT64' },
      { name: 'large', data: at.map(() => 2n ** 60n + 1n), type: 'INT64' },
      { name: 'item', data: at.map((_, i) => `i${i % 7}`), type: 'STRING' },
    ],
    rowGroupSize: 1000,
  })
  writeFileSync(path, Buffer.from(bytes))
  const pieces = await cutFiles([{ path }])
  assert.deepEqual(
    pieces.map(p => p.rows),
    [
      { from: 0, to: 1000 },
      { from: 1000, to: 2000 },
      { from: 2000, to: 2500 },
    ],
  )
  const records = (await Promise.all(pieces.map(recordsOf))).flat().map(r => JSON.parse(r))
  assert.deepEqual(
    records,
    at.map((time, i) => ({ at: time.getTime(), count: i, large: '1152921504606846977', item: `i${i % 7}` })),
  )
  const [first] = pieces
  writeFileSync(path, Buffer.from(bytes).subarray(0, bytes.byteLength - 500))
  await assert.rejects(recordsOf(first!), /rows\.parquet can't be read as Parquet/)
})

test('CSV: two columns of one name, of which one would be lost, are refused; so is the one that no object has', async t => {
  const at = (name: string) => join(scratch(t), name)
  await assert.rejects(readBack(at('twice.csv'), 'a,b,a\n1,2,3\n'), /twice\.csv names the column 'a' twice/)
  await assert.rejects(readBack(at('proto.csv'), 'a,__proto__\n1,2\n'), /proto\.csv has a column '__proto__'/)
})
