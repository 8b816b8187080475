import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { StateMismatchError } from '../../runtime/checkpoint/run-meta.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import { busy } from './children/busy.ts'
import { generate, scratch, seeded, sortedLines, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'

const CHILD = join(import.meta.dirname, 'children/run.ts')
const SINKS = ['late', 'top', 'activity', 'joined']

interface Ending {
  readonly killed: boolean
  readonly ms: number
}

/** One run in a process of its own, killed after `ms` if it is not through by then. */
function run(input: string, dir: string, parallelism: number, ms: number): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(process.execPath, [CHILD, input, dir, String(parallelism)], { stdio: ['ignore', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.on('data', data => {
      errors += data
    })
    const timer = ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => child.kill('SIGKILL'), ms)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (code === 0 || signal === 'SIGKILL') resolve({ killed: code !== 0, ms: performance.now() - started })
      else reject(new Error(`the run ended with ${code ?? signal}: ${errors}`))
    })
  })
}

/** Kills runs on one directory again and again, then lets one end. Most kills come after start-up, with some progress in between. */
async function killed(
  input: string,
  dir: string,
  parallelism: number,
  kills: number,
  undisturbedMs: number,
  random: () => number,
) {
  let count = 0
  while (count < kills) {
    const early = random() < 0.15
    const ms = early ? random() * 300 : 250 + random() * (undisturbedMs - 250)
    if (!(await run(input, dir, parallelism, ms)).killed) break
    count++
  }
  await run(input, dir, parallelism, Number.POSITIVE_INFINITY)
  return count
}

function results(dir: string): Record<string, string[]> {
  return Object.fromEntries(SINKS.map(s => [s, sortedLines(join(dir, `${s}.ndjson`))]))
}

function files(dir: string): Record<string, string> {
  return Object.fromEntries(SINKS.map(s => [s, readFileSync(join(dir, `${s}.ndjson`), 'utf8')]))
}

test('50 runs killed with SIGKILL and resumed end with the results of an undisturbed one', { timeout: 3_600_000 }, async t => {
  const root = scratch(t)
  const input = writeEvents(join(root, 'events.ndjson'), generate(3000, 3))
  const random = seeded(Date.now())
  const calm = new Map<number, { dir: string; ms: number }>()
  for (const parallelism of [1, 2]) {
    const dir = join(root, `calm-${parallelism}`)
    calm.set(parallelism, { dir, ms: (await run(input, dir, parallelism, Number.POSITIVE_INFINITY)).ms })
  }
  let kills = 0
  let rounds = 0
  const lane = async () => {
    while (kills < 50) {
      const round = rounds++
      const parallelism = round % 3 === 2 ? 1 : 2
      const undisturbed = calm.get(parallelism)!
      const dir = join(root, `round-${round}`)
      kills += await killed(input, dir, parallelism, 8, undisturbed.ms, random)
      assert.deepEqual(results(dir), results(undisturbed.dir), `round ${round}, parallelism ${parallelism}`)
      // one subtask a sink: the order of its lines is the input's, and no kill may change it
      if (parallelism === 1) assert.deepEqual(files(dir), files(undisturbed.dir), `round ${round}: the files, byte for byte`)
    }
  }
  await Promise.all([lane(), lane()])
  t.diagnostic(`${kills} kills in ${rounds} rounds; an undisturbed run takes ${[...calm.values()].map(c => Math.round(c.ms))} ms`)
})

function options(input: string, dir: string): RunOptions {
  return {
    sources: { events: fileSource([input]) },
    sinks: Object.fromEntries(SINKS.map(s => [s, fileSink(join(dir, `${s}.ndjson`))])),
    parallelism: 2,
    state: join(dir, 'state'),
    batchSize: 50,
    checkpointMs: 60,
  }
}

test('a run that was stopped goes on, and one that is through ends at once with the same files', async t => {
  const root = scratch(t)
  const input = writeEvents(join(root, 'events.ndjson'), generate(3000, 4))
  const calm = join(root, 'calm')
  await runEmbedded(busy().graph(), options(input, calm))
  const dir = join(root, 'stopped')
  let stops = 0
  let events = 0
  for (;;) {
    const stop = new AbortController()
    const seen = (p: { events: number }) => p.events > 300 && stop.abort()
    const summary = await runEmbedded(busy().graph(), { ...options(input, dir), onProgress: seen, signal: stop.signal })
    events += summary.events
    if (summary.outcome === 'finished') break
    stops++
    assert.ok(summary.checkpoints.completed > 0)
  }
  assert.ok(stops > 0)
  assert.equal(events, 3000)
  assert.deepEqual(results(dir), results(calm))
  const before = SINKS.map(s => readFileSync(join(dir, `${s}.ndjson`)))
  const again = await runEmbedded(busy().graph(), options(input, dir))
  assert.equal(again.outcome, 'finished')
  assert.equal(again.events, 0)
  assert.ok(again.resumed)
  assert.deepEqual(
    SINKS.map(s => readFileSync(join(dir, `${s}.ndjson`))),
    before,
  )
})

test('another pipeline or input on a state directory is refused', async t => {
  const root = scratch(t)
  const input = writeEvents(join(root, 'events.ndjson'), generate(200, 5))
  const other = writeEvents(join(root, 'other.ndjson'), generate(200, 6))
  await runEmbedded(busy().graph(), options(input, root))
  const refused = (work: Promise<unknown>) => assert.rejects(work, StateMismatchError)
  await refused(runEmbedded(busy().graph(), options(other, root)))
  await refused(
    runEmbedded(pipelines['top-n']!().graph(), { state: join(root, 'state'), sources: { events: fileSource([input]) } }),
  )
})
