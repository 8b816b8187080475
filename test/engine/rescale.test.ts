import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { StateMismatchError } from '../../runtime/checkpoint/run-meta.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { Rescale } from '../../runtime/embedded/run-options.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'
import { copyUpTo, dieRestoring, lines, onlyOneRun, retained, run } from './runs.ts'

const EVENTS = 600
const WAYS = [
  [1, 4],
  [4, 1],
  [2, 8],
  [3, 5],
] as const
const BACKENDS = ['table', 'segments'] as const

for (const [turn, name] of Object.keys(pipelines).entries()) {
  const [few, many] = WAYS[turn % WAYS.length]!
  test(`${name}: from ${few} subtasks to ${many} and back to ${few}, and a fork with ${many}, end with the results of an undisturbed run`, async t => {
    const dir = scratch(t)
    const at = (file: string) => join(dir, file)
    const input = writeEvents(at('events.ndjson'), generate(EVENTS, 50 + turn))
    await run(name, input, { out: at('reference'), parallelism: few })
    const reference = lines(at('reference'))
    // All of it is in the source's stage, which has a subtask for each split.
    const times = name === 'stateless' ? 0 : 1
    const way = { out: at('first'), state: at('state'), stateBackend: BACKENDS[turn % 2]! }
    const said: Rescale[] = []
    const onRescale = (rescale: Rescale) => void said.push(rescale)
    const { checkpoints } = await run(name, input, { ...way, parallelism: few, stopAfter: 150 })
    const [oldest] = await retained(at('state'))
    await copyUpTo(oldest!, { state: at('state'), out: at('first') }, at('fork'))
    const fork = { out: at('fork'), state: at('fork-state'), parallelism: many, stateBackend: BACKENDS[(turn + 1) % 2]! }
    const from = { directory: at('state'), checkpoint: oldest! }
    assert.equal((await run(name, input, { ...fork, from })).outcome, 'finished')
    assert.deepEqual(lines(fork.out), reference, 'the fork')
    await run(name, input, { ...way, parallelism: many, stopAfter: 200, onRescale })
    assert.deepEqual(
      said.map(s => s.checkpoint),
      Array(times).fill(checkpoints.last),
    )
    // It goes on as it is.
    await run(name, input, { ...way, parallelism: many, stopAfter: 50, onRescale })
    assert.equal(said.length, times)
    await run(name, input, { ...way, parallelism: few, stopAfter: 50, onRescale })
    assert.equal((await run(name, input, { ...way, parallelism: few, onRescale })).outcome, 'finished')
    assert.equal(said.length, 2 * times)
    assert.deepEqual(lines(way.out), reference)
    await onlyOneRun(at('state'))
  })
}

test('a run whose first checkpoint was not complete begins anew at another parallelism', async t => {
  const dir = scratch(t)
  const at = (file: string) => join(dir, file)
  const input = writeEvents(at('events.ndjson'), generate(300, 3))
  await run('session', input, { out: at('whole'), parallelism: 3 })
  const failing = { ...fileSource([input]), open: () => Promise.reject(new Error('it dies')) }
  const way = { out: at('out'), state: at('state'), stateBackend: 'segments' } as const
  await assert.rejects(
    runEmbedded(pipelines.session!().graph(), {
      sources: { events: failing },
      state: way.state,
      stateBackend: 'segments',
      parallelism: 2,
    }),
    /it dies/,
  )
  const said: Rescale[] = []
  await run('session', input, { ...way, parallelism: 3, onRescale: rescale => void said.push(rescale) })
  assert.deepEqual(
    said.map(s => s.checkpoint),
    [undefined],
  )
  assert.match(said[0]!.difference, /the parallelism of stage .* was 2 and is 3/)
  assert.deepEqual(lines(at('out')), lines(at('whole')))
})

// It has superseded the old run by then, and that can be restored from nothing.
test('a run that begins anew at another parallelism and dies goes on at either', async t => {
  const dir = scratch(t)
  const at = (file: string) => join(dir, file)
  const input = writeEvents(at('events.ndjson'), generate(300, 3))
  await run('session', input, { out: at('whole'), parallelism: 2 })
  for (const parallelism of [2, 3]) {
    const way = { out: at(`out-${parallelism}`), state: at(`state-${parallelism}`) }
    const failing = { ...fileSource([input]), open: () => Promise.reject(new Error('it dies')) }
    const sources = { events: failing }
    await assert.rejects(runEmbedded(pipelines.session!().graph(), { sources, state: way.state, parallelism: 2 }), /it dies/)
    await dieRestoring(way.state)
    assert.equal((await run('session', input, { ...way, parallelism })).outcome, 'finished')
    assert.deepEqual(lines(way.out), lines(at('whole')))
    await onlyOneRun(way.state)
  }
})

test('what can not go on at another parallelism is refused: other key groups, other operators, more subtasks than key groups', async t => {
  const dir = scratch(t)
  const at = (file: string) => join(dir, file)
  const input = writeEvents(at('events.ndjson'), generate(100, 3))
  await run('session', input, { out: at('out'), state: at('state'), parallelism: 2 })
  const graph = pipelines.session!().graph()
  const go = (parallelism: number, keyGroups: number) =>
    runEmbedded(
      { ...graph, options: { ...graph.options, keyGroups } },
      { sources: { events: fileSource([input]) }, state: at('state'), parallelism },
    )
  await assert.rejects(
    go(4, 64),
    error => error instanceof StateMismatchError && /there were 128 key groups and are 64/.test(error.message),
  )
  await assert.rejects(go(200, 128), /has a parallelism of 200, but there are only 128 key groups/)
  await assert.rejects(
    runEmbedded(
      { ...pipelines['top-n']!().graph(), name: 'session' },
      { sources: { events: fileSource([input]) }, state: at('state'), parallelism: 4 },
    ),
    error => error instanceof StateMismatchError && /nothing in .session. takes over/.test(error.message),
  )
})
