import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { directoryWith, millrace } from './cli.ts'
import { fakeS3 } from './fake-s3.ts'

const PIPELINE = `
import { boundedOutOfOrderness, count, ndjson, pipeline, print, tumbling } from 'millrace'
const any = { '~standard': { version: 1, vendor: 'test', validate: value => ({ value }) } }
const app = pipeline('views')
const views = app.source('views', ndjson(any), { time: v => v.at, watermark: boundedOutOfOrderness('10s') })
views
  .keyBy('item')
  .window(tumbling('1m'))
  .aggregate(count(), (views, { key, window }) => ({ item: key, until: window.end, views }))
  .sink('counts', print())
export default app
`
const T0 = 1_700_000_040_000

/** Minutes of it, of five items, one view a second. */
function views(from: number, to: number): string {
  return Array.from({ length: (to - from) * 60 }, (_, i) => {
    const at = T0 + (from * 60 + i) * 1000
    return `${JSON.stringify({ item: `i${(at / 1000) % 5}`, at })}\n`
  }).join('')
}

function counted(path: string): { item: string; until: number; views: number }[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
}

function archive(): string {
  const dir = directoryWith({ 'views.ts': PIPELINE, 'in/b.ndjson': views(0, 2), 'in/_SUCCESS': 'no record' })
  // The later minutes come first, by name.
  writeFileSync(join(dir, 'in/a.ndjson.gz'), gzipSync(views(4, 6)))
  writeFileSync(join(dir, 'in/c.ndjson.zst'), zstdCompressSync(views(2, 4)))
  return dir
}

test('a directory of plain, gzip and zstd files, in any order of time, gives what it holds', async () => {
  const cwd = archive()
  const { code, err, out } = await millrace(
    ['backfill', 'views.ts', '--from', 'in', '--out', 'out', '--workers', '2', '--json'],
    { cwd },
  )
  assert.equal(code, 0, err)
  const found = counted(join(cwd, 'out/counts.ndjson'))
  assert.equal(found.length, 30)
  assert.deepEqual(
    found.filter(row => row.views !== 12),
    [],
  )
  const summary = JSON.parse(out)
  assert.equal(summary.events, 360)
  assert.equal(summary.outcome, 'finished')
  assert.equal(summary.sinks.counts, 30)
})

test('objects of S3 are read as files are, by ranges; of a folder those below it, and no hidden ones', async t => {
  const cwd = directoryWith({ 'views.ts': PIPELINE })
  const objects = new Map<string, Buffer>([
    ['in/b é+.ndjson', Buffer.from(views(0, 2))],
    ['in/a.ndjson.gz', gzipSync(views(4, 6))],
    ['in/sub/c.ndjson.zst', zstdCompressSync(views(2, 4))],
    ['in/sub/', Buffer.alloc(0)],
    ['in/_SUCCESS', Buffer.from('no record')],
    ['in-other/d.ndjson', Buffer.from(views(0, 2))],
  ])
  const { env, requests } = await fakeS3(t, 'archive', objects)
  const args = [
    'backfill',
    'views.ts',
    '--from',
    's3://archive/in',
    '--out',
    'out',
    '--workers',
    '2',
    '--json',
    '--state',
    'state',
  ]
  const { code, err, out } = await millrace(args, { cwd, env })
  assert.equal(code, 0, err)
  assert.equal(JSON.parse(out).events, 360)
  const found = counted(join(cwd, 'out/counts.ndjson'))
  assert.deepEqual([found.length, ...new Set(found.map(row => row.views))], [30, 12])
  assert.ok(requests.includes(`in/b é+.ndjson 0-${views(0, 2).length - 1}`))
  assert.deepEqual([...new Set(requests.map(r => r.replace(/ \d+-\d+$/, '')))].sort(), [...objects.keys()].slice(0, 3).sort())

  // The same name, and as many bytes: only the entity tag tells.
  objects.set('in/b é+.ndjson', Buffer.from(views(0, 2).replaceAll('i1', 'i9')))
  const changed = await millrace(args, { cwd, env })
  assert.match(changed.err, /over other input: files have come, gone or changed since/)
  const none = await millrace(['backfill', 'views.ts', '--from', 's3://archive/inn'], { cwd, env })
  assert.match(none.err, /s3:\/\/archive\/inn can't be read: there is no such object, and none below it/)
})

test('--since and --until choose by event time; a sink of its own is written when all is there', async () => {
  const cwd = archive()
  const range = ['--since', new Date(T0 + 60_000).toISOString(), '--until', String(T0 + 180_000)]
  const { code, err, out } = await millrace(['backfill', 'views.ts', '--from', 'views=in', ...range], { cwd })
  assert.equal(code, 0, err)
  const rows = out
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))
  assert.deepEqual([...new Set(rows.map(row => (row.until - T0) / 60_000))].sort(), [2, 3])
})

test('folders of another time are not opened, as far as --slack says', async () => {
  const cwd = directoryWith({
    'views.ts': PIPELINE,
    [`in/date=${new Date(T0).toISOString().slice(0, 10)}/a.ndjson`]: views(0, 1),
    'in/date=2020-01-01/b.ndjson': 'no JSON at all',
    'in/2031/01/02/03/c.ndjson': 'no JSON at all',
  })
  const range = ['--since', String(T0), '--until', String(T0 + 60_000)]
  const { code, err, out } = await millrace(['backfill', 'views.ts', '--from', 'in', ...range, '--out', 'out', '--json'], { cwd })
  assert.equal(code, 0, err)
  const { events, deadLetters, skippedFiles } = JSON.parse(out)
  assert.deepEqual({ events, deadLetters, skippedFiles }, { events: 60, deadLetters: 0, skippedFiles: 2 })
  const wide = await millrace(['backfill', 'views.ts', '--from', 'in', ...range, '--slack', '9999d', '--out', 'all', '--json'], {
    cwd,
  })
  assert.equal(wide.code, 0, wide.err)
  assert.equal(JSON.parse(wide.out).deadLetters, 2)
})

test('a folder with nothing in it is no error, and is told', async () => {
  const cwd = directoryWith({ 'views.ts': PIPELINE, 'in/_SUCCESS': '' })
  const { code, out, err } = await millrace(['backfill', 'views.ts', '--from', 'in', '--out', 'out'], { cwd })
  assert.equal(code, 0, err)
  assert.match(out, /events +0\b[\s\S]*no input +source-views: there is no file to read/)
})

test('with --state a finished backfill is told again and not done again, and another one is refused', async () => {
  const cwd = archive()
  const command = ['backfill', 'views.ts', '--from', 'in', '--out', 'out', '--state', 'state']
  assert.equal((await millrace(command, { cwd })).code, 0)
  const before = readFileSync(join(cwd, 'out/counts.ndjson'), 'utf8')
  const again = await millrace(command, { cwd })
  assert.equal(again.code, 0)
  assert.match(again.out, /resumed/)
  assert.equal(readFileSync(join(cwd, 'out/counts.ndjson'), 'utf8'), before)
  const looked = await millrace(['checkpoints', 'state'], { cwd })
  assert.equal(looked.code, 2)
  assert.match(looked.err, /state is the directory of a backfill, which has no run or checkpoints/)
  writeFileSync(join(cwd, 'in/d.ndjson'), views(6, 7))
  const other = await millrace(command, { cwd })
  assert.equal(other.code, 2)
  assert.match(other.err, /files have come, gone or changed/)
})

test('--then-live leaves a savepoint, from which a run goes on at another parallelism with a stream that overlaps', async () => {
  const cwd = archive()
  writeFileSync(join(cwd, 'stream.ndjson'), views(2, 9))
  // In the middle of a minute: its window needs both.
  const until = ['--until', String(T0 + 4.5 * 60_000)]
  const past = await millrace(['backfill', 'views.ts', '--from', 'in', ...until, '--out', 'before', '--then-live', 'savepoint'], {
    cwd,
  })
  assert.equal(past.code, 0, past.err)
  const live = await millrace(
    'run views.ts --from-snapshot savepoint --source views=stream.ndjson --out behind --parallelism 3'.split(' '),
    { cwd },
  )
  assert.equal(live.code, 0, live.err)
  const before = counted(join(cwd, 'before/counts.ndjson'))
  const behind = counted(join(cwd, 'behind/counts.ndjson'))
  assert.equal(before.length, 20)
  assert.equal(behind.length, 25)
  assert.deepEqual(
    [...before, ...behind].filter(row => row.views !== 12),
    [],
  )
})

test('what can not be is refused before anything is read', async () => {
  const cwd = archive()
  const refusals: [string[], RegExp][] = [
    [[], /--from is missing/],
    [['--from', 'nowhere'], /there is no nowhere\n/],
    [['--from', 'view=in'], /there is no view=in, and no source view: did you mean views\?/],
    [['--from', 'in', '--since', '2026-01-02T10:00'], /--since 2026-01-02T10:00: a day/],
    [['--from', 'in', '--since', '2026-01-02', '--until', '2026-01-01'], /the first has to be before/],
    [['--from', 'in', '--then-live', 'savepoint'], /--then-live needs --until/],
    [['--from', 'in', '--sink', 'counts=in/b.ndjson'], /would overwrite/],
  ]
  for (const [flags, message] of refusals) {
    const { code, err } = await millrace(['backfill', 'views.ts', ...flags], { cwd })
    assert.equal(code, 2)
    assert.match(err, message)
  }
})

test('what user code throws in a worker thread names the operator, and nothing is written', async () => {
  const failing = PIPELINE.replace('item: key,', "item: (() => { throw new Error('no such item') })(),")
  const cwd = directoryWith({ 'views.ts': failing, 'in/views.ndjson': views(0, 2) })
  const { code, err } = await millrace(['backfill', 'views.ts', '--from', 'in', '--out', 'out'], { cwd })
  assert.equal(code, 1)
  assert.match(err, /operator 'window-.*no such item/)
  assert.ok(!existsSync(join(cwd, 'out/counts.ndjson')))
})
