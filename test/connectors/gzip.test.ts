import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { SourcePosition } from '../../runtime/connectors/source.ts'
import { directoryWith, millrace } from '../cli/cli.ts'

const directory = mkdtempSync(join(tmpdir(), 'millrace-gzip-'))
let files = 0

function file(bytes: Uint8Array, ending = '.gz'): string {
  const path = join(directory, `${files++}${ending}`)
  writeFileSync(path, bytes)
  return path
}

/** What is read before the end or the error, and where that is. */
async function read(path: string, from?: SourcePosition) {
  const connector = fileSource([path])
  const reader = await connector.open((await connector.splits())[0]!)
  const records: string[] = []
  let position = from
  try {
    for (;;) {
      const batch = await reader.read(position, 1000)
      records.push(...batch.records.map(String))
      position = batch.next
      if (batch.done) return { records, position, error: undefined }
    }
  } catch (error) {
    return { records, position, error: (error as Error).message }
  } finally {
    await reader.close()
  }
}

const lines = Array.from({ length: 400_000 }, (_, i) => `{"n":${i},"noise":${(i * 7919) % 1013}}`)
const text = `${lines.join('\n')}\n`
const whole = gzipSync(text)

test('a gzip file that was cut off is an error that says how far it can be read; the whole file is gone on with', async () => {
  const path = file(whole.subarray(0, whole.length / 2))
  const { records, position, error } = await read(path)
  const [, count] = /^.*\.gz was cut off: .* \(unexpected end of file\)\. ([\d,]+) whole lines of it can be read\. /.exec(error!)!
  const readable = Number(count!.replaceAll(',', ''))
  assert.ok(records.length > 100_000 && readable >= records.length && readable < lines.length, error)
  writeFileSync(path, whole)
  const rest = await read(path, position)
  assert.equal(rest.error, undefined)
  assert.deepEqual([...records, ...rest.records], lines)
})

test('cut off within its trailer or header, in a later member, or before it began: never silently less', async () => {
  const small = gzipSync('{"n":1}\n{"n":2}\n')
  for (const [bytes, error] of [
    [small.subarray(0, -1), /was cut off: .* 2 whole lines of it can be read/],
    [small.subarray(0, 5), /was cut off: .* 0 whole lines/],
    [Buffer.concat([small, small.subarray(0, 12)]), /was cut off: .* 2 whole lines/],
    [Buffer.alloc(0), /is empty, and not even packed: was it cut off\?/],
  ] as const)
    assert.match((await read(file(bytes))).error!, error)
})

test('damage is an error that says about where', async () => {
  const broken = Buffer.from(whole)
  broken.fill(0xff, whole.length / 2, whole.length / 2 + 100)
  assert.match(
    (await read(file(broken))).error!,
    /is damaged: it is no valid gzip \(.*\)\. About [\d,]+ whole lines of it can be read/,
  )
  assert.match((await read(file(Buffer.concat([whole, Buffer.from('rubbish')])))).error!, /is damaged/)
})

test('several members are one input, and one of nothing is an input without records', async () => {
  const members = Buffer.concat([gzipSync('{"n":1}\n{"n"'), gzipSync(''), gzipSync(':2}\n')])
  assert.deepEqual((await read(file(members))).records, ['{"n":1}', '{"n":2}'])
  assert.deepEqual((await read(file(gzipSync('')))).records, [])
  assert.deepEqual((await read(file(Buffer.alloc(0), '.ndjson'))).records, [])
})

test('zeros behind a member are padding, and nothing may be behind them', async () => {
  const [one, two] = [gzipSync('{"n":1}\n'), gzipSync('{"n":2}\n')]
  assert.deepEqual((await read(file(Buffer.concat([one, Buffer.alloc(600_000)])))).records, ['{"n":1}'])
  for (const zeros of [1, 600_000]) {
    const { error } = await read(file(Buffer.concat([one, Buffer.alloc(zeros), two])))
    assert.match(error!, /is damaged: it is no valid gzip/, 'what Node passes over in silence')
  }
})

test('a run on a file that was cut off ends with one sentence and exit code 1', async () => {
  const pipeline = `
    import { monotonous, ndjson, pipeline, print } from 'millrace'
    import { z } from '${import.meta.resolve('zod')}'
    const app = pipeline('cut')
    app.source('events', ndjson(z.object({ n: z.number() })), { time: e => e.n, watermark: monotonous() }).sink('all', print())
    export default app
  `
  const cwd = directoryWith({ 'cut.ts': pipeline })
  writeFileSync(join(cwd, 'a.gz'), whole.subarray(0, 20_000))
  const { code, out, err } = await millrace(['run', 'cut.ts', '--source', 'events=a.gz', '--out', 'o'], { cwd })
  assert.deepEqual([code, out], [1, ''])
  assert.match(err, /^millrace: a\.gz was cut off: [^\n]*\n$/)
})
