import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { Rescaled } from '../../runtime/embedded/rescaled.ts'
import type { RunningJob, RunOptions } from '../../runtime/embedded/run-options.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'
import { lines, watched } from './runs.ts'

const EVENTS = 600

interface Way extends RunOptions {
  readonly out: string
}

/** Rescales at some records of the input, to what `steps` say. */
async function rescaling(name: string, input: string, steps: readonly number[], { out, ...options }: Way) {
  const graph = pipelines[name]!().graph()
  const side = graph.nodes.some(n => n.sink?.name === 'side')
  const sinks = { out: fileSink(`${out}.out`), ...(side ? { side: fileSink(`${out}.side`) } : {}) }
  let job: RunningJob | undefined
  const done: Rescaled[] = []
  const asked: Promise<unknown>[] = []
  const events = watched(fileSource([input]), async read => {
    if (asked.length < steps.length && job !== undefined && read > ((asked.length + 1) * EVENTS) / (steps.length + 2)) {
      const step = job.rescale(steps[asked.length]!).then(rescaled => done.push(rescaled))
      asked.push(step)
      step.catch(() => {})
    }
    // The next one is asked for when this one is through.
    if (asked.length > 0 && read > ((asked.length + 0.9) * EVENTS) / (steps.length + 2)) await asked.at(-1)
  })
  const summary = await runEmbedded(graph, {
    sources: { events },
    sinks,
    batchSize: 13,
    checkpointMs: 1,
    ...options,
    onRunning: running => {
      job = running
    },
  })
  await Promise.all(asked)
  return { summary, done }
}

const broadcasts = (name: string) =>
  pipelines[name]!()
    .graph()
    .nodes.some(n => n.inputs.flat().some(e => e.exchange.kind === 'broadcast'))

for (const [i, name] of Object.keys(pipelines)
  .filter(n => !broadcasts(n))
  .entries()) {
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
      parallelism: 2,
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
  const [broadcast] = Object.keys(pipelines).filter(broadcasts)
  const cases = [
    { name: broadcast!, options: {}, reason: /has a copy of broadcast state/ },
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

test('another run can not start from a checkpoint behind a rescaling, and says so', async t => {
  const directory = scratch(t)
  const input = writeEvents(join(directory, 'events.ndjson'), generate(EVENTS, 14))
  const state = join(directory, 'state')
  await rescaling('session', input, [4], { out: join(directory, 'first'), parallelism: 2, state })
  await assert.rejects(
    rescaling('session', input, [], {
      out: join(directory, 'fork'),
      parallelism: 2,
      state: join(directory, 'fork'),
      from: { directory: state },
    }),
    /was taken after its stages were rescaled while they ran/,
  )
})
