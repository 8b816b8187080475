import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import test from 'node:test'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import inThreads from './children/in-threads.ts'
import { generate, scratch, sortedLines, writeEvents } from './events.ts'

const MODULE = new URL('./children/in-threads.ts', import.meta.url)
const SINKS = ['late', 'top', 'activity', 'joined']

async function run(inputs: readonly string[], dir: string, options: RunOptions, count?: number) {
  const data = { inputs, dir }
  const { graph, ...bindings } = await inThreads(data)
  const threads = count === undefined ? undefined : { count, module: MODULE, data }
  return runEmbedded(graph, { ...bindings, ...options, ...(threads && { threads }) })
}

const results = (dir: string) => Object.fromEntries(SINKS.map(s => [s, sortedLines(join(dir, `${s}.ndjson`))]))

test('a run in threads has the results and counts of one in this thread, in memory and on disk, warm and cold', async t => {
  const root = scratch(t)
  const inputs = [writeEvents(join(root, 'events.ndjson'), generate(1000, 5))]
  const calm = join(root, 'calm')
  const expected = await run(inputs, calm, {})
  const cold = { state: join(root, 'state'), stateMemory: 20_000, checkpointMs: 60, batchSize: 50 }
  for (const [name, count, options] of [
    ['memory', 2, { parallelism: 2 }],
    ['cold', 3, { parallelism: 2, ...cold }],
    ['segments', 3, { parallelism: 2, ...cold, state: join(root, 'segments-state'), stateBackend: 'segments' }],
    ['single', 2, { parallelism: 1 }],
  ] as const) {
    const dir = join(root, name)
    const summary = await run(inputs, dir, options, count)
    assert.deepEqual(results(dir), results(calm), name)
    assert.deepEqual([summary.total, summary.sinks], [expected.total, expected.sinks], name)
    assert.equal(summary.checkpoints.failed, 0)
    assert.equal(summary.stages.reduce((n, s) => n + s.recordsIn, 0) > 1000, true)
  }
})

test('a run in threads that is killed again and again ends with the results of an undisturbed one', {
  timeout: 120_000,
}, async t => {
  const root = scratch(t)
  const inputs = [writeEvents(join(root, 'events.ndjson'), generate(1000, 6))]
  const calm = join(root, 'calm')
  await run(inputs, calm, {})
  const dir = join(root, 'killed')
  const child = join(import.meta.dirname, 'children/run-in-threads.ts')
  const ended = (killAfterMs: number) =>
    new Promise<boolean>((resolve, reject) => {
      const process_ = spawn(process.execPath, [child, dir, ...inputs], { stdio: ['ignore', 'ignore', 'inherit'] })
      const timer = killAfterMs === Infinity ? undefined : setTimeout(() => process_.kill('SIGKILL'), killAfterMs)
      process_.on('exit', (code, signal) => {
        clearTimeout(timer)
        if (code === 0 || signal === 'SIGKILL') resolve(code === 0)
        else reject(new Error(`the run ended with ${code ?? signal}`))
      })
    })
  for (let kills = 0; kills < 2 && !(await ended(400 + 300 * kills)); kills++);
  await ended(Infinity)
  assert.deepEqual(results(dir), results(calm))
})

test('stopping, keeping the input open, and going on work in threads', async t => {
  const root = scratch(t)
  const inputs = [writeEvents(join(root, 'events.ndjson'), generate(1000, 7))]
  const calm = join(root, 'calm')
  await run(inputs, calm, {})
  const dir = join(root, 'stopped')
  const options = { parallelism: 2, state: join(root, 'state'), batchSize: 50, checkpointMs: 60 }
  const stop = new AbortController()
  const stopped = await run(inputs, dir, { ...options, onProgress: p => p.events > 0 && stop.abort(), signal: stop.signal }, 2)
  assert.ok(['stopped', 'finished'].includes(stopped.outcome))
  const open = await run(inputs, dir, { ...options, keepOpen: true }, 2)
  assert.ok(open.outcome === 'kept open' || stopped.outcome === 'finished')
  const last = await run(inputs, dir, options, 2)
  assert.equal(last.outcome, 'finished')
  assert.equal(last.total.events, 1000)
  assert.deepEqual(results(dir), results(calm))
})

test('what stops a subtask in a thread stops the run, with its reason', async t => {
  const root = scratch(t)
  const inputs = [writeEvents(join(root, 'events.ndjson'), generate(50, 8))]
  const { graph } = await inThreads({ inputs, dir: root })
  const options = { sources: { events: fileSource(inputs) }, parallelism: 2 }
  const threads = (data: object, module = new URL('./children/failing-thread.ts', import.meta.url)) => ({
    threads: { count: 2, module, data: { inputs, dir: root, ...data } },
  })
  await assert.rejects(runEmbedded(graph, { ...options, ...threads({ fail: 'sink' }) }), {
    name: 'ConnectorError',
    message: /the sink failing: write threw Error: the sink is closed for today \(.*failing-thread\.ts/,
  })
  await assert.rejects(
    runEmbedded(graph, { ...options, ...threads({ fail: 'exit' }) }),
    /a thread of this run ended: exit code 3/,
  )
  await assert.rejects(runEmbedded(graph, { ...options, ...threads({ fail: 'pipeline' }) }), /gave a thread another pipeline/)
  await assert.rejects(runEmbedded(graph, { ...options, ...threads({}, new URL('./nowhere.ts', import.meta.url)) }), /nowhere/)
  await assert.rejects(runEmbedded(graph, { ...threads({}), sources: { events: fileSource(['-']) } }), /standard input/)
})
