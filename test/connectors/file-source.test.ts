import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, mkdtempSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { SourcePosition } from '../../runtime/connectors/source.ts'

const directory = mkdtempSync(join(tmpdir(), 'millrace-source-'))
let files = 0

function file(content: string | Uint8Array, name = `f${files++}.ndjson`): string {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

async function readAll(path: string, limit = 1000, from?: SourcePosition) {
  const source = fileSource([path])
  const reader = await source.open((await source.splits())[0]!)
  const records: (string | Uint8Array)[] = []
  const positions: SourcePosition[] = []
  let position = from
  for (;;) {
    const batch = await reader.read(position, limit)
    assert.ok(batch.records.length <= limit)
    batch.records.forEach((record, i) => {
      records.push(record)
      positions.push(batch.after(i))
    })
    position = batch.next
    if (batch.done) break
  }
  await reader.close()
  return { records, positions, end: position }
}

test('lines end with LF, CRLF or the end of the file; empty ones and a byte order mark are skipped', async () => {
  const { records, positions, end } = await readAll(file('\ufeff{"a":1}\r\n\n\r\n{"b":"é"}\n{"c":3}'))
  assert.deepEqual(records, ['{"a":1}', '{"b":"é"}', '{"c":3}'])
  assert.deepEqual(positions, [
    { offset: 12, line: 1 },
    { offset: 26, line: 4 },
    { offset: 33, line: 5 },
  ])
  assert.deepEqual(end, { offset: 33, line: 5 })
})

test('an empty file, one of blank lines, and one of a byte order mark only have no records', async () => {
  for (const content of ['', '\n\n\r\n', '\ufeff', '\ufeff\n']) assert.deepEqual((await readAll(file(content))).records, [])
})

test('a line that is not UTF-8 comes as its bytes, and moves no offset', async () => {
  const bad = Buffer.from([0x7b, 0xff, 0xfe, 0x7d])
  const { records, positions } = await readAll(file(Buffer.concat([Buffer.from('"é"\n'), bad, Buffer.from('\n"x"\n')])))
  assert.deepEqual(records, ['"é"', new Uint8Array(bad), '"x"'])
  assert.deepEqual(
    positions.map(p => p.offset),
    [5, 10, 14],
  )
})

test('gzip is told by the content, not by the name, and may have several members', async () => {
  const packed = Buffer.concat([gzipSync('"a"\n"b'), gzipSync('"\n"c"\n')])
  assert.deepEqual((await readAll(file(packed, 'named.ndjson'))).records, ['"a"', '"b"', '"c"'])
  assert.deepEqual((await readAll(file('"plain"\n', 'plain.gz'))).records, ['"plain"'])
})

test('characters and lines across the borders of chunks stay whole', async () => {
  const lines = Array.from({ length: 60_000 }, (_, i) => JSON.stringify({ i, text: '€ü😀'.repeat(i % 13) }))
  lines.splice(500, 0, JSON.stringify('ж'.repeat(1_500_000)))
  const content = lines.join('\n')
  const plain = await readAll(file(content), 777)
  assert.deepEqual(plain.records, lines)
  assert.equal(plain.end.offset, Buffer.byteLength(content))
  const packed = await readAll(file(gzipSync(content)), 10_000)
  assert.deepEqual(packed.records, lines)
  assert.deepEqual(packed.positions, plain.positions)
  for (const at of [0, 499, 500, 501, 30_000, 59_999, 60_000]) {
    for (const path of ['f', 'g']) {
      const again = await readAll(file(path === 'f' ? content : gzipSync(content)), 5000, plain.positions[at])
      assert.deepEqual(again.records, lines.slice(at + 1), `from behind record ${at}`)
    }
  }
})

test('property: any lines, any limit, any place to go on, plain and packed', async () => {
  const line = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' })).map(s => s.replace(/[\r\n]/g, ''))
  await fc.assert(
    fc.asyncProperty(
      fc.array(line),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      fc.integer({ min: 1, max: 7 }),
      fc.boolean(),
      fc.nat(),
      async (lines, end, last, limit, gzip, n) => {
        const content = Buffer.from(lines.join(end) + (last ? end : ''))
        const path = file(gzip ? gzipSync(content) : content, 'property.ndjson')
        const expected = lines.map((l, i) => (i === 0 && l.startsWith('\ufeff') ? l.slice(1) : l)).filter(l => l !== '')
        const { records, positions } = await readAll(path, limit)
        assert.deepEqual(records, expected)
        if (records.length === 0) return
        const at = n % records.length
        assert.deepEqual((await readAll(path, limit, positions[at])).records, expected.slice(at + 1))
      },
    ),
    { numRuns: 200 },
  )
})

test('lines of any length, many chunks of them, come whole and again from any place', async () => {
  // Short ones, longer than what is decoded at a time, and longer than the room in front of a chunk; each tells which it is.
  const lengths = Array.from({ length: 4000 }, (_, i) => (i % 331 === 330 ? 150_000 : i % 97 === 96 ? 65_000 : (i * 37) % 900))
  const lines = lengths.map((length, i) => `${i} ${'abcdefghij'.repeat(Math.ceil(length / 10)).slice(0, length)}`)
  const path = file(lines.join('\n'))
  const { records, positions } = await readAll(path, 333)
  assert.ok(records.length === lines.length && records.every((record, i) => record === lines[i]))
  for (const at of [1, 95, 96, 329, 330, 2000]) {
    const { records: rest } = await readAll(path, 50, positions[at])
    assert.ok(rest.length === lines.length - at - 1 && rest.every((record, i) => record === lines[at + 1 + i]))
  }
})

test('a reader goes back to an earlier place in its chunk, and to one in an earlier chunk', async () => {
  const lines = Array.from({ length: 200_000 }, (_, i) => `{"n":${i}}`)
  const path = file(lines.join('\n'))
  const reader = await fileSource([path]).open(path)
  const first = await reader.read(undefined, 10)
  assert.deepEqual((await reader.read(first.after(3), 2)).records, lines.slice(4, 6))
  let batch = first
  while (!batch.done) batch = await reader.read(batch.next, 10_000)
  assert.deepEqual((await reader.read(first.after(3), 2)).records, lines.slice(4, 6))
  assert.deepEqual((await reader.read(undefined, 1)).records, lines.slice(0, 1))
  await reader.close()
})

test('files that are missing, shorter or other than before are named errors', async () => {
  const path = file('"a"\n"b"\n"c"\n')
  const source = fileSource([path])
  await assert.rejects(fileSource([join(directory, 'none')]).splits(), /can't read .*none: there is no such file/)
  await assert.rejects(fileSource([directory]).splits(), /it is a directory/)
  await assert.rejects(
    (await source.open(path)).read({ offset: 99, line: 5 }, 1),
    /goes on at byte 99 \(line 6\), but it has only 12/,
  )
  await assert.rejects((await source.open(path)).read({ offset: 5, line: 1 }, 1), /no longer the start of a line/)
  const packed = file(gzipSync('"a"\n'))
  await assert.rejects((await fileSource([packed]).open(packed)).read({ offset: 99, line: 5 }, 1), /goes on at byte 99/)
  truncateSync(packed, 15)
  await assert.rejects(readAll(packed), /was cut off: .*unexpected end of file/)
  assert.throws(() => fileSource([]), /at least one path/)
  assert.throws(() => fileSource([path, path]), /twice/)
})

test('a line of more than 64 MiB is an error, not an empty heap', async () => {
  const path = file('"')
  for (let i = 0; i < 66; i++) appendFileSync(path, Buffer.alloc(1 << 20, 'x'))
  await assert.rejects(readAll(path), /a line of more than 64 MiB/)
})

test('standard input gives an empty batch while it is silent, and can not be resumed', async () => {
  const script = `
    import { fileSource } from '${new URL('../../runtime/connectors/file-source.ts', import.meta.url)}'
    const reader = await fileSource(['-']).open('-')
    let position, some = false, empty = 0
    for (;;) {
      const batch = await reader.read(position, 10)
      some ||= batch.records.length > 0
      for (const r of batch.records) process.stdout.write(r + ' ')
      if (some && batch.records.length === 0 && !batch.done && empty++ === 0) process.stdout.write('empty ')
      position = batch.next
      if (batch.done) break
    }
    await reader.read({ offset: 1, line: 1 }, 1).catch(error => process.stdout.write(error.message))
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  let out = ''
  child.stdout.on('data', data => {
    out += data
    // The rest comes when the silence was noticed, however long that takes.
    if (String(data).includes('empty')) child.stdin.end('3\n4')
  })
  child.stderr.pipe(process.stderr)
  child.stdin.write('1\n2')
  await new Promise(resolve => child.on('close', resolve))
  assert.match(out, /^1 empty 23 4 standard input can't be read again/)
})
