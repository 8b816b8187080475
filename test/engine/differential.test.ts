import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import { type Event, generate, scratch, sortedLines, writeEvents } from './events.ts'
import { expected } from './naive.ts'
import { pipelines } from './pipelines.ts'

/** However a pipeline is run, its results are the same lines. Each pipeline meets each parallelism and batch size; the other ways vary with them. */
function ways(turn: number, dir: string): { name: string; options: RunOptions }[] {
  const list: { name: string; options: RunOptions }[] = []
  let i = turn
  for (const parallelism of [1, 4]) {
    for (const batchSize of [1, 7, 1000, 10_000]) {
      const durable = i % 2 === 0
      const chaining = (i >> 1) % 2 === 0
      const cold = (i >> 2) % 2 === 0 || batchSize === 7
      const segments = i % 3 !== 0
      i++
      const name = `p${parallelism} b${batchSize}${segments ? ' segments' : ''}${durable ? ' durable' : ''}${chaining ? '' : ' unchained'}${cold ? ' cold' : ''}`
      list.push({
        name,
        options: {
          parallelism,
          batchSize,
          chaining,
          stateBackend: segments ? 'segments' : 'table',
          ...(durable ? { state: join(dir, `state-${name}`) } : {}),
          ...(cold ? { stateMemory: 1, checkpointMs: 20 } : { checkpointMs: 200 }),
        },
      })
    }
  }
  return list
}

async function run(name: string, input: string, out: string, options: RunOptions): Promise<{ out: string[]; side: string[] }> {
  const graph = pipelines[name]!().graph()
  const side = graph.nodes.some(n => n.sink?.name === 'side')
  const sinks = { out: fileSink(`${out}.out`), ...(side ? { side: fileSink(`${out}.side`) } : {}) }
  const summary = await runEmbedded(graph, { sources: { events: fileSource([input]) }, sinks, ...options })
  assert.equal(summary.outcome, 'finished')
  assert.equal(summary.checkpoints.failed, 0)
  return { out: sortedLines(`${out}.out`), side: side ? sortedLines(`${out}.side`) : [] }
}

for (const [turn, name] of Object.keys(pipelines).entries()) {
  test(`${name}: parallelism, batch size, chaining, durability, cold state and the state backend change nothing`, async t => {
    const dir = scratch(t)
    const events: Event[] = generate(500, 7 + turn)
    const input = writeEvents(join(dir, 'events.ndjson'), events)
    const reference = await run(name, input, join(dir, 'reference'), {})
    assert.ok(reference.out.length > 10)
    const naive = expected[name]?.(events)
    if (naive?.out !== undefined)
      assert.deepEqual(reference.out, naive.out.map(r => JSON.stringify(r)).sort(), 'naive computation')
    if (naive?.side !== undefined)
      assert.deepEqual(reference.side, naive.side.map(r => JSON.stringify(r)).sort(), 'naive side output')
    for (const way of ways(turn, dir)) {
      const found = await run(name, input, join(dir, way.name), way.options)
      assert.deepEqual(found, reference, way.name)
    }
  })
}
