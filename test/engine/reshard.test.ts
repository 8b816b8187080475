import assert from 'node:assert/strict'
import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { readLayouts } from '../../runtime/checkpoint/layouts.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { systemClock, systemRandom } from '../../runtime/embedded/clock.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { withCheckpoint } from '../../runtime/embedded/inspect.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import type { Rescaled } from '../../runtime/embedded/rescaled.ts'
import type { Rescale, RunningJob, RunOptions, SavepointPlace } from '../../runtime/embedded/run-options.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { directoryBlobs } from '../../runtime/savepoint/directory.ts'
import { writeSavepoint } from '../../runtime/savepoint/write.ts'
import { openShards } from '../../runtime/stage/layout.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'
import { lines, onlyOneRun, watched } from './runs.ts'

const EVENTS = 600

interface Way extends RunOptions {
  readonly out: string
  /** Records read, behind which it is stopped. */
  readonly stopAfter?: number
}

/** Rescales at some records of the input, to what `steps` say. */
async function rescaling(name: string, input: string, steps: readonly number[], { out, stopAfter, ...options }: Way) {
  const graph = pipelines[name]!().graph()
  const side = graph.nodes.some(n => n.sink?.name === 'side')
  const sinks = { out: fileSink(`${out}.out`), ...(side ? { side: fileSink(`${out}.side`) } : {}) }
  let job: RunningJob | undefined
  const done: Rescaled[] = []
  const asked: Promise<unknown>[] = []
  const stop = new AbortController()
  const events = watched(fileSource([input]), async read => {
    if (asked.length < steps.length && job !== undefined && read > ((asked.length + 1) * EVENTS) / (steps.length + 2)) {
      const step = job.rescale(steps[asked.length]!).then(rescaled => done.push(rescaled))
      asked.push(step)
      step.catch(() => {})
    }
    // The next one is asked for when this one is through.
    if (asked.length > 0 && read > ((asked.length + 0.9) * EVENTS) / (steps.length + 2)) await asked.at(-1)
    if (stopAfter !== undefined && read >= stopAfter) stop.abort()
  })
  const summary = await runEmbedded(graph, {
    sources: { events },
    sinks,
    batchSize: 13,
    checkpointMs: 1,
    signal: stop.signal,
    ...options,
    onRunning: running => {
      job = running
    },
  })
  await Promise.all(asked)
  return { summary, done }
}

const names = Object.keys(pipelines)
const BACKENDS = ['table', 'segments'] as const

for (const [i, name] of names.entries()) {
  test(`${name}: rescaled from 2 to 8, to 3 and back to 2 while records flow, the results are those of an undisturbed run (F1–F3)`, async t => {
    const directory = scratch(t)
    const input = writeEvents(join(directory, 'events.ndjson'), generate(EVENTS, 11))
    const calm = join(directory, 'calm')
    const { summary: expected } = await rescaling(name, input, [], { out: calm, parallelism: 2 })
    const out = join(directory, 'rescaled')
    const state = i % 2 === 0 ? undefined : join(directory, 'state')
    const { summary, done } = await rescaling(name, input, [8, 3, 2], { out, parallelism: 2, state })
    assert.deepEqual(lines(out), lines(calm))
    assert.deepEqual(summary.total, expected.total)
    assert.equal(summary.checkpoints.failed, 0)
    // Where there is only a source nothing changes.
    t.diagnostic(done.flatMap(d => d.stages.map(s => `${s.from}→${s.to}: ${d.pauseMsMax} ms`)).join('; ') || 'nothing to rescale')
  })
}

test('a run that fails at any moment of a rescaling goes on where it was when it is started again (F2, F3)', async t => {
  const directory = scratch(t)
  const input = writeEvents(join(directory, 'events.ndjson'), generate(EVENTS, 12))
  const calm = join(directory, 'calm')
  await rescaling('dedup-sum', input, [], { out: calm, parallelism: 2 })
  let failures = 0
  for (let after = 0; after < 5; after++) {
    const [out, state] = [join(directory, `${after}.out`), join(directory, `${after}.state`)]
    // Each life is rescaled and dies some commits later, at another moment; the last one gets through.
    for (const parallelism of [8, 3, undefined]) {
      const died = await lifeOf(input, { out, state, parallelism, after: after * 7 })
      if (died) failures++
      else break
    }
    assert.deepEqual(lines(out), lines(calm), `died ${after * 7} calls later`)
  }
  assert.ok(failures > 5)
})

/** Rescales at once, if told to, and fails so many calls of the source later. True: it failed. */
async function lifeOf(
  input: string,
  { out, state, parallelism, after }: { out: string; state: string; parallelism: number | undefined; after: number },
) {
  let calls = 0
  let asked = false
  let job: RunningJob | undefined
  const events = watched(fileSource([input]), async () => {
    if (parallelism === undefined || job === undefined) return
    if (!asked) {
      asked = true
      job.rescale(parallelism).catch(() => {})
    }
    if (++calls > after) throw new Error('the plug is pulled')
  })
  try {
    await runEmbedded(pipelines['dedup-sum']!().graph(), {
      sources: { events },
      sinks: { out: fileSink(`${out}.out`) },
      state,
      parallelism: await parallelismOf(state),
      batchSize: 7,
      checkpointMs: 1,
      onRunning: running => {
        job = running
      },
    })
    return false
  } catch (error) {
    if ((error as Error).message !== 'the plug is pulled') throw error
    return true
  }
}

test('what can not be rescaled while it runs is refused by name, and the run goes on', async t => {
  const directory = scratch(t)
  const input = writeEvents(join(directory, 'events.ndjson'), generate(100, 13))
  const cases = [
    { name: 'session', options: { stateBackend: 'segments' as const }, reason: /'segments' can't be rescaled while it runs/ },
  ]
  for (const { name, options, reason } of cases) {
    const out = join(directory, name)
    let refused: unknown
    const sinks = Object.fromEntries(['out', 'side'].map(sink => [sink, fileSink(`${out}.${sink}`)]))
    const { outcome } = await runEmbedded(pipelines[name]!().graph(), {
      sources: { events: fileSource([input]) },
      sinks,
      parallelism: 2,
      batchSize: 5,
      ...options,
      onRunning: job => {
        job.rescale(4).catch(error => {
          refused = error
        })
      },
    })
    assert.equal(outcome, 'finished')
    assert.match(String(refused), reason)
  }
})

/** Of the stages that were rescaled, as a process that has died has left it. */
async function parallelismOf(directory: string): Promise<number> {
  const ports = await openEmbedded({ directory })
  const meta = await readRun(ports)
  const [layout] = meta === undefined ? [] : (await readLayouts(ports.log, meta.run)).layouts
  await ports.close()
  return layout === undefined ? 2 : openShards(layout[1]).length
}

/** To eight, to three and to four: fewer subtasks than it has had, and more than it began with. */
const STEPS = [8, 3, 4]

const SOME = ['window-lateness', 'interval-join', 'process', 'top-n', 'session', 'processing-time', 'broadcast']

for (const [i, name] of SOME.entries()) {
  test(`${name}: behind a live rescaling, a fork at another parallelism, a savepoint, and the directory itself at any end with the results of an undisturbed run (D5, D8)`, async t => {
    const directory = scratch(t)
    const at = (file: string) => join(directory, file)
    const input = writeEvents(at('events.ndjson'), generate(EVENTS, 30 + i))
    const calm = at('calm')
    await rescaling(name, input, [], { out: calm, parallelism: 2 })
    const expected = lines(calm)
    const way = { out: at('first'), state: at('state'), parallelism: 2 }
    const stopped = await rescaling(name, input, STEPS, { ...way, stopAfter: 500 })
    assert.equal(stopped.summary.outcome, 'stopped')
    const savepoint = directoryBlobs(at('savepoint'))
    await withCheckpoint(way.state, undefined, (manifest, blobs) =>
      writeSavepoint(
        manifest,
        blobs,
        savepoint,
        { kind: 'directory', name: way.state },
        { clock: systemClock, random: systemRandom },
      ),
    )
    const last = stopped.done.at(-1)!
    const forks: [string, Partial<Way>][] = [
      ['fork', { from: { directory: way.state }, parallelism: [1, 4, 5][i % 3]!, stateBackend: BACKENDS[i % 2]! }],
      [
        'restored',
        { from: { savepoint: savepointAt(savepoint) }, parallelism: [4, 2][i % 2]!, stateBackend: BACKENDS[(i + 1) % 2]! },
      ],
    ]
    for (const [place, options] of forks) {
      // What the first had shown, and what comes now.
      for (const end of ['out', 'side'])
        if (existsSync(at(`first.${end}`))) copyFileSync(at(`first.${end}`), at(`${place}.${end}`))
      if (place === 'restored') for (const end of ['out', 'side']) rmSync(at(`restored.${end}`), { force: true })
      const { summary } = await rescaling(name, input, [], { ...way, ...options, out: at(place), state: at(`${place}-state`) })
      assert.equal(summary.outcome, 'finished')
      const found = lines(at(place))
      if (place === 'restored')
        for (const end of ['out', 'side'] as const) found[end] = [...found[end], ...lines(way.out)[end]].sort()
      assert.deepEqual(found, expected, place)
    }
    // As many as it has by now: it goes on in its own logs. Then another number, and that is its own from then on.
    const said: string[] = []
    const onRescale = ({ difference }: Rescale) => void said.push(difference)
    const run = await runIn(way.state)
    await rescaling(name, input, [], { ...way, parallelism: 4, stopAfter: 20, onRescale })
    assert.deepEqual([said.length, await runIn(way.state)], [0, run])
    await rescaling(name, input, [], { ...way, stopAfter: 20, onRescale })
    assert.equal(said.length, 1)
    assert.match(said[0]!, new RegExp(`the parallelism of stage ${last.stages[0]!.id} was 4 and is 2`))
    await rescaling(name, input, [], { ...way, onRescale })
    assert.equal(said.length, 1)
    assert.deepEqual(lines(way.out), expected)
    await onlyOneRun(way.state)
  })
}

async function runIn(directory: string): Promise<string> {
  const ports = await openEmbedded({ directory })
  const { run } = (await readRun(ports))!
  await ports.close()
  return run
}

const savepointAt = (blobs: Blobs): SavepointPlace => ({
  name: 'the savepoint',
  open: async () => ({ blobs, close: async () => {} }),
})
