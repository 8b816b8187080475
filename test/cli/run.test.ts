import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { directoryWith, MILLRACE, millrace } from './cli.ts'

const zod = import.meta.resolve('zod')
const VIEWS = `
import { count, fileSink, monotonous, ndjson, pipeline, print, tumbling } from 'millrace'
import { z } from '${zod}'

const Event = z.object({ item: z.string(), time: z.number() })
const app = pipeline('views')
const events = app.source('events', ndjson(Event), { time: e => e.time, watermark: monotonous() })
events
  .keyBy('item')
  .window(tumbling('1m'))
  .aggregate(count(), (views, { key, window }) => ({ item: key, views, until: window.end }))
  .sink('views', print())
events
  .map(e => {
    if (e.item === 'bad') throw new Error('this item is bad')
    return { seen: e.item }
  })
  .sink('seen', print())
export default app
`

const EVENTS = 30_000
const events = (n = EVENTS) =>
  Array.from({ length: n }, (_, i) => `${JSON.stringify({ item: `i${i % 7}`, time: i * 100 })}\n`).join('')

function expectedViews(n = EVENTS): string[] {
  const views = new Map<string, number>()
  for (let i = 0; i < n; i++) {
    const key = `${Math.floor((i * 100) / 60_000) * 60_000 + 60_000} i${i % 7}`
    views.set(key, (views.get(key) ?? 0) + 1)
  }
  return [...views].map(([key, count]) => `${key} ${count}`).sort()
}

const lines = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))
const views = (path: string) =>
  lines(path)
    .map(v => `${v.until} ${v.item} ${v.views}`)
    .sort()

test('a bounded input ends the run: files in, files out, a summary, exit code 0', async () => {
  const cwd = directoryWith({ 'views.ts': VIEWS, 'a.ndjson': events(), 'empty.ndjson': '' })
  const { code, out, err } = await millrace(
    ['run', 'views.ts', '--source', 'events=a.ndjson', '--out', 'out/deep', '--sink', 'seen=seen.ndjson'],
    { cwd },
  )
  assert.equal(code, 0, err)
  // On a slow machine a line of progress comes every five seconds.
  assert.doesNotMatch(err, /^(?!$|[\d,]+ events? )/m)
  assert.match(out, /^views finished after /)
  assert.match(out, /events +30,000 /)
  assert.match(out, /sink views: \d+ records to out\/deep\/views\.ndjson/)
  assert.deepEqual(views(join(cwd, 'out/deep/views.ndjson')), expectedViews())
  assert.equal(lines(join(cwd, 'seen.ndjson')).length, EVENTS)
  assert.deepEqual(readdirSync(join(cwd, 'out/deep')), ['views.ndjson'])
  const again = await millrace(['run', 'views.ts', '--source', 'events=empty.ndjson', '--out', 'out/deep'], { cwd })
  assert.equal(again.code, 0, again.err)
  assert.equal(readFileSync(join(cwd, 'out/deep/views.ndjson'), 'utf8'), '', 'a new run replaces what an earlier one left')
})

test('gzip, several files, standard input and output, JSON', async () => {
  const cwd = directoryWith({ 'views.ts': VIEWS })
  const half = events().indexOf('\n', events().length / 2) + 1
  writeFileSync(join(cwd, 'a'), gzipSync(events().slice(0, half)))
  writeFileSync(join(cwd, 'b'), events().slice(half))
  const files = await millrace(
    [
      'run',
      'views.ts',
      '--source',
      'events=a',
      '--source',
      'events=b',
      '--out',
      'o',
      '--json',
      '--parallelism',
      '2',
      '--batch',
      '100',
    ],
    { cwd },
  )
  assert.equal(files.code, 0, files.err)
  const summary = JSON.parse(files.out)
  assert.deepEqual(
    [summary.outcome, summary.resumed, summary.events, summary.watermark, summary.sinks.seen],
    ['finished', false, EVENTS, null, EVENTS],
  )
  assert.deepEqual(views(join(cwd, 'o/views.ndjson')), expectedViews())
  for (const json of [false, true]) {
    const words = ['run', 'views.ts', '--source', 'events=-', '--sink', 'views=-', '--sink', 'seen=seen']
    const piped = await millrace(json ? [...words, '--json'] : words, { cwd, input: events(3000) })
    assert.equal(piped.code, 0, piped.err)
    const printed = piped.out
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    assert.deepEqual(printed.map(v => `${v.until} ${v.item} ${v.views}`).sort(), expectedViews(3000))
    if (json) assert.equal(JSON.parse(piped.err).outcome, 'finished')
    else assert.match(piped.err, /^views finished/)
  }
})

test('--threads: the same files, and the same words for a record that fails; standard input is refused', async () => {
  const cwd = directoryWith({
    'views.ts': VIEWS,
    'package.json': '{"type":"commonjs"}',
    'a.ndjson': events(3000),
    'bad.ndjson': '{"item":"bad","time":1000}\n',
  })
  const threaded = (source: string) =>
    millrace(
      [
        'run',
        'views.ts',
        '--source',
        `events=${source}`,
        '--sink',
        'views=-',
        '--sink',
        'seen=seen',
        '--parallelism',
        '2',
        '--threads',
        '2',
      ],
      { cwd },
    )
  const good = await threaded('a.ndjson')
  assert.equal(good.code, 0, good.err)
  assert.doesNotMatch(good.err, /Warning/)
  const printed = good.out
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.deepEqual(printed.map(v => `${v.until} ${v.item} ${v.views}`).sort(), expectedViews(3000))
  assert.equal(lines(join(cwd, 'seen')).length, 3000)
  const bad = await threaded('bad.ndjson')
  assert.equal(bad.code, 1)
  assert.match(bad.err, /^millrace: .*map[\s\S]*this item is bad/)
  assert.doesNotMatch(bad.err, /\n +at /)
  assert.match((await threaded('-')).err, /reads standard input, which a thread can't/)
})

test('a record that fails ends the run with the error, its operator and its cause, and exit code 1', async () => {
  const cwd = directoryWith({ 'views.ts': VIEWS, 'a.ndjson': `${events(10)}{"item":"bad","time":1000}\n` })
  const { code, out, err } = await millrace(['run', 'views.ts', '--source', 'events=a.ndjson', '--out', 'o'], { cwd })
  assert.deepEqual([code, out], [1, ''])
  assert.match(err, /^millrace: .*map/)
  assert.match(err, /this item is bad/)
  assert.doesNotMatch(err, /\n +at /)
  const verbose = await millrace(['run', 'views.ts', '--source', 'events=a.ndjson', '--out', 'o', '--verbose'], { cwd })
  assert.match(verbose.err, /this item is bad[\s\S]*\n +at .*views\.ts/)
})

/** A run whose input stays open, so that only a signal ends it. */
function openRun(cwd: string, ...args: string[]) {
  const child = spawn(process.execPath, [MILLRACE, 'run', 'views.ts', '--source', 'events=-', '--out', 'o', ...args], { cwd })
  child.stdin.on('error', () => {})
  let out = ''
  let err = ''
  child.stdout.on('data', data => {
    out += data
  })
  child.stderr.on('data', data => {
    err += data
  })
  const closed = new Promise<number | null>(resolve => child.on('close', resolve))
  after(() => child.kill('SIGKILL'))
  return { child, result: closed.then(code => ({ code, out, err })) }
}

/** Much longer than anything takes, on a busy machine with two cores as well: only what hangs takes so long. */
const PATIENCE_MS = 300_000
const PATIENT = { timeout: 2 * PATIENCE_MS }

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 20) {
    assert.ok(waited < PATIENCE_MS, 'it has not come')
    await sleep(20)
  }
}

/** When something in a directory was last changed, epoch ms; 0: it isn't there. */
function changed(directory: string): number {
  if (!existsSync(directory)) return 0
  return Math.max(
    0,
    ...readdirSync(directory).map(name => statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? 0),
  )
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} takes a last checkpoint and stops with exit code 0`, PATIENT, async () => {
    const cwd = directoryWith({ 'views.ts': VIEWS })
    const { child, result } = openRun(cwd, '--checkpoint', '100ms')
    child.stdin.write(events(1000))
    await until(() => existsSync(join(cwd, 'o/seen.ndjson')) && lines(join(cwd, 'o/seen.ndjson')).length === 1000)
    child.kill(signal)
    const { code, out, err } = await result
    assert.equal(code, 0, err)
    assert.match(err, /stopping after a last checkpoint/)
    assert.match(out, /^views stopped after /)
    assert.deepEqual(readdirSync(join(cwd, 'o')).sort(), ['seen.ndjson', 'views.ndjson'])
  })
}

test('a run whose input has been silent from the start stops too', PATIENT, async () => {
  const cwd = directoryWith({ 'views.ts': VIEWS })
  const { child, result } = openRun(cwd, '--state', 's')
  // The store is opened when the run is on.
  await until(() => existsSync(join(cwd, 's')) && readdirSync(join(cwd, 's')).length > 0)
  child.kill('SIGINT')
  assert.equal((await result).code, 0)
})

test('killed at random moments and started again on the same directory, it ends with the same files', PATIENT, async () => {
  const cwd = directoryWith({ 'views.ts': VIEWS, 'a.ndjson': events() })
  const args = [
    'run',
    'views.ts',
    '--source',
    'events=a.ndjson',
    '--out',
    'o',
    '--state',
    's',
    '--checkpoint',
    '20ms',
    '--batch',
    '50',
    '--json',
  ]
  for (let kill = 0; kill < 6; kill++) {
    const child = spawn(process.execPath, [MILLRACE, ...args], { cwd, stdio: 'ignore' })
    let over = false
    const closed = new Promise<void>(resolve => {
      child.on('close', () => {
        over = true
        resolve()
      })
    })
    // Once it is at work, however long this machine takes to start it.
    const before = changed(join(cwd, 's'))
    await until(() => over || changed(join(cwd, 's')) > before)
    await Promise.race([sleep(Math.random() * 400), closed])
    child.kill('SIGKILL')
    await closed
  }
  const { code, out, err } = await millrace(args, { cwd })
  assert.equal(code, 0, err)
  assert.equal(JSON.parse(out).outcome, 'finished')
  assert.deepEqual(views(join(cwd, 'o/views.ndjson')), expectedViews())
  assert.equal(lines(join(cwd, 'o/seen.ndjson')).length, EVENTS)
  assert.deepEqual(readdirSync(join(cwd, 'o')).sort(), ['seen.ndjson', 'views.ndjson'])
  const finished = await millrace(args, { cwd })
  assert.equal(finished.code, 0, finished.err)
  assert.deepEqual(views(join(cwd, 'o/views.ndjson')), expectedViews(), 'a finished run, started again, changes nothing')
})

test('an old Node on PATH does not leave a run behind when the launcher is killed', PATIENT, async t => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find(path => existsSync(path))
  if (old === undefined) return t.skip('there is only one Node here')
  const cwd = directoryWith({ 'views.ts': VIEWS })
  const child = spawn(
    old,
    [MILLRACE, 'run', 'views.ts', '--source', 'events=-', '--out', 'o', '--state', 's', '--checkpoint', '50ms'],
    { cwd },
  )
  child.stdin.on('error', () => {})
  child.stdin.write(events(100))
  await until(() => existsSync(join(cwd, 'o/seen.ndjson')) && lines(join(cwd, 'o/seen.ndjson')).length === 100)
  child.kill('SIGKILL')
  const { runEmbedded } = await import('../../runtime/embedded/engine.ts')
  const { loadGraph } = await import('../../runtime/cli/load.ts')
  const { bind } = await import('../../runtime/cli/bindings.ts')
  writeFileSync(join(cwd, 'none'), '')
  const graph = await loadGraph(join(cwd, 'views.ts'))
  const { sources, sinks } = await bind(graph, { sources: [`events=${join(cwd, 'none')}`], sinks: [], out: join(cwd, 'o2') })
  // Refused for other splits, and soon not any more because somebody still holds the directory.
  await until(async () => {
    const outcome = await runEmbedded(graph, { state: join(cwd, 's'), sources, sinks }).catch(error => String(error.message))
    return !/in use/.test(String(outcome))
  })
})
