import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { random } from '../../examples/recommendations/seeded.ts'
import { traffic } from '../../examples/recommendations/traffic.ts'
import { directory, type Lines, plain, readLines, write } from './run.ts'

const START = fileURLToPath(new URL('../../examples/recommendations/start.js', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const events = [...traffic({ users: 20, minutes: 25, rate: 5, seed: 11, bots: 1 })]
const input = write(join(directory(), 'events.ndjson'), events)
let computed: Lines | undefined
const expected = (): Lines => {
  computed ??= plain(events)
  return computed
}

interface Ended {
  code: number | null
  out: string
  err: string
}

/** Models so slow that a run is surely on when it is killed or stopped, however fast the machine. */
const SLOW = { MODELS_LATENCY_MS: '100' }

/** Without REDIS_URL: results go to files. */
function launch(
  args: string[],
  { command = [process.execPath, START], settings = {} }: { command?: string[]; settings?: Record<string, string> } = {},
): { child: ChildProcess; ended: Promise<Ended> } {
  const { REDIS_URL: _, ...rest } = process.env
  const env = { ...rest, ...settings }
  const child = spawn(command[0]!, [...command.slice(1), ...args], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout!.on('data', data => {
    out += data
  })
  child.stderr!.on('data', data => {
    err += data
  })
  return { child, ended: new Promise(resolve => child.on('close', code => resolve({ code, out, err }))) }
}

test('npm start reads files, gzipped or not, writes the results, and shows what happened', async () => {
  const out = join(directory(), 'made/for/it')
  const gzipped = join(directory(), 'events.ndjson.gz')
  writeFileSync(gzipped, gzipSync(readFileSync(input)))
  const npm = ['npm', 'start', '--silent', '--']
  const { code, out: shown, err } = await launch(['--input', gzipped, '--out', out], { command: npm }).ended
  assert.equal(code, 0, err)
  assert.deepEqual(readLines(out), expected())
  assert.match(shown, /Most viewed from 2026-06-01 \d\d:\d\d to 2026-06-01 \d\d:\d\d\n {3}1\. /)
  assert.equal(shown.match(/the 30 minutes before: \d+ searches/g)?.length, 3)
  assert.match(
    shown,
    new RegExp(`throughput +[\\d,]+ events .*${expected().recommendations.length.toLocaleString('en-US')} recommendations`),
  )
  assert.match(shown, /checkpoints +\d+ completed/)
  assert.ok(shown.includes('recommendations.ndjson'))
})

test('lines that are no event are refused and counted, and no event at all is no failure', async () => {
  const dir = directory()
  writeFileSync(join(dir, 'bad.ndjson'), '{"user_id":"u"}\nnot json\n')
  const { code, out, err } = await launch(['--input', join(dir, 'bad.ndjson'), '--out', dir]).ended
  assert.equal(code, 0, err)
  assert.match(out, /refused +2 lines/)
})

test('a mistake in the arguments is one sentence and exit code 2', async () => {
  const dir = directory()
  const mistakes: [string[], RegExp][] = [
    [['--inputs', 'x'], /--inputs/],
    [['--input', join(dir, 'missing.ndjson')], /missing\.ndjson: there is no such file/],
    [['--input', dir], /is a directory/],
    [['events.ndjson'], /--input/],
    [['--parallelism', 'many'], /--parallelism is 'many'/],
    [['--checkpoint', 'soon'], /--checkpoint/],
    [['--out', join(input, 'x')], /--out .* cannot be made a directory/],
  ]
  for (const [args, sentence] of mistakes) {
    const { code, out, err } = await launch(args).ended
    assert.equal(code, 2, args.join(' '))
    assert.equal(out, '')
    assert.match(err, sentence)
    assert.equal(err.trimEnd().split('\n').length, 1, err)
  }
  const { code, out } = await launch(['--help']).ended
  assert.equal(code, 0)
  assert.match(out, /--input FILE/)
})

test('a run that is killed and started again ends with the same files, byte for byte', async () => {
  const next = random(Date.now())
  const dir = directory()
  const out = join(dir, 'out')
  const args = ['--input', input, '--out', out, '--state', join(dir, 'state'), '--checkpoint', '200ms']
  let kills = 0
  for (let i = 0; i < 5; i++) {
    const { child, ended } = launch(args, { settings: SLOW })
    await Promise.race([sleep(600 + next() * 2_000), ended])
    if (child.exitCode !== null) break
    child.kill('SIGKILL')
    kills++
    await ended
  }
  const { code, err } = await launch(args).ended
  assert.equal(code, 0, err)
  assert.ok(kills > 0)
  assert.deepEqual(readLines(out), expected())
  assert.ok(!existsSync(join(out, '.trending.ndjson.millrace')), 'nothing staged is left behind')
})

test('a run that is stopped goes on from its last checkpoint', async () => {
  const dir = directory()
  const args = ['--input', input, '--out', dir, '--state', join(dir, 'state')]
  const { child, ended } = launch(args, { settings: SLOW })
  // Said in the same turn in which the signal's handler is installed.
  await new Promise<void>(resolve => child.stderr!.on('data', data => String(data).includes('Reading') && resolve()))
  await sleep(500)
  child.kill('SIGINT')
  const stopped = await ended
  assert.equal(stopped.code, 0, stopped.err)
  assert.match(stopped.out, /Stopped after[\s\S]*The same command goes on from here/)
  const { code, err } = await launch(args).ended
  assert.equal(code, 0, err)
  assert.deepEqual(readLines(dir), expected())
  rmSync(join(dir, 'state'), { recursive: true })
})
