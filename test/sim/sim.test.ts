import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { Report } from './report.ts'
import { scenarios } from './scenarios.ts'
import { runSeeds, workerFor } from './seeds.ts'
import { openWorker } from './workers.ts'

const SEEDS = 300

async function once(seed: number): Promise<Report> {
  const worker = workerFor(seed, undefined)
  let found: Report | undefined
  await worker.run({ seeds: [seed], trace: true }, report => {
    found = report
  })
  worker.stop()
  return found!
}

test(`${SEEDS} seeds: whatever goes wrong, the sinks come to what they hold without faults, from the beginning and from a checkpoint`, {
  timeout: 1_800_000,
}, async t => {
  const found: Report[] = []
  const pipelines = new Set<string>()
  const faults = new Set<string>()
  await runSeeds({
    from: 0,
    count: SEEDS,
    pipeline: undefined,
    workers: 2,
    onReport(report) {
      pipelines.add(report.pipeline)
      for (const { fault } of report.injected) faults.add(fault)
      if (report.error !== undefined) found.push(report)
      return found.length > 0
    },
  })
  t.diagnostic(`${faults.size} kinds of faults in ${pipelines.size} pipelines`)
  assert.deepEqual(
    found.map(({ seed, pipeline, error }) => `npm run sim -- --seed ${seed} --trace (${pipeline}): ${error}`),
    [],
  )
  assert.equal(pipelines.size, scenarios.length)
})

test('all seeds that are asked for are run, however few, and each once', async () => {
  for (const [from, count] of [
    [7, 3],
    [0, 1],
    [20, 23],
  ] as const) {
    const seeds: number[] = []
    const onReport = ({ seed }: Report) => {
      seeds.push(seed)
      return false
    }
    await runSeeds({ from, count, pipeline: 'watermark-steps', workers: 2, onReport })
    assert.deepEqual(
      seeds.sort((a, b) => a - b),
      Array.from({ length: count }, (_, i) => from + i),
    )
  }
})

test('a seed that never comes to an end is reported, behind those that have', async () => {
  const loop = {
    file: 'runtime/sim/simulate.ts',
    text: '  const random = dice(seed)\n',
    by: '  const random = dice(seed)\n  if (seed === 1) for (;;) {}\n',
  }
  const worker = openWorker({ changes: [loop], pipeline: 'watermark-steps' }, { hangsMs: 12_000 })
  const found: Report[] = []
  await worker.run({ seeds: [0, 1, 2] }, report => void found.push(report))
  assert.deepEqual(
    found.map(({ seed, pipeline, error }) => [seed, pipeline, error?.slice(0, 27)]),
    [
      [0, 'watermark-steps', undefined],
      [1, 'watermark-steps', 'Hang: no end after 12 s, in'],
    ],
  )
  await worker.run({ seeds: [3] }, report => void found.push(report))
  worker.stop()
  assert.deepEqual([found[2]!.seed, found[2]!.error], [3, undefined], 'another process goes on')
})

test('a seed is one run: two processes have the same trace of it', async () => {
  for (const seed of [3, 8]) {
    const [a, b] = await Promise.all([once(seed), once(seed)])
    assert.ok(a.trace.length > 200)
    assert.deepEqual(a.trace, b.trace)
    assert.deepEqual(a.injected, b.injected)
    const faults = a.trace.flatMap(line => /^ *[\d.]+ ! ([^:]+)/.exec(line)?.[1] ?? [])
    assert.deepEqual(
      faults,
      a.injected.map(({ fault }) => fault),
    )
  }
})

test('the command says what it can do, and refuses what it cannot', async () => {
  const main = new URL('main.ts', import.meta.url).pathname
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [main, ...args])
  assert.match((await run('--help')).stdout, /--seed S/)
  await assert.rejects(run('--pipeline', 'none'), { code: 2, stderr: /no pipeline 'none': there are counts/ })
  for (const both of [
    ['--seed', '4', '--seeds', '2'],
    ['--minutes', '1', '--seeds', '2'],
    ['--mutants', '--seed', '1'],
    ['--mutants', '--minutes', '1'],
  ])
    await assert.rejects(run(...both), { code: 2, stderr: /do not go together/ })
  await assert.rejects(run('--seeds', '1.5'), { code: 2, stderr: /--seeds is a whole number/ })
  const { stdout } = await run('--seed', '4', '--trace')
  assert.match(stdout, /streams.put/)
  assert.match(stdout, /^ *[\d.]+ ! \w/m)
  assert.match(stdout, /seed 4 \([\w-]+\): nothing was found/)
})
