import assert from 'node:assert/strict'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { listManifests } from '../../runtime/checkpoint/manifest.ts'
import { readRun, StateMismatchError } from '../../runtime/checkpoint/run-meta.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { SourceConnector } from '../../runtime/connectors/source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import type { RunOptions, RunSummary } from '../../runtime/embedded/run-options.ts'
import { openSqlite } from '../../runtime/embedded/sqlite.ts'
import { generate, scratch, sortedLines, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'

const EVENTS = 600

/** Asks the run to stop when `records` have been read. */
function stoppingAfter(records: number, connector: SourceConnector, stop: AbortController): SourceConnector {
  let read = 0
  return {
    ...connector,
    async open(split) {
      const reader = await connector.open(split)
      return {
        async read(position, limit) {
          const batch = await reader.read(position, limit)
          read += batch.records.length
          if (read >= records) stop.abort()
          return batch
        },
        close: () => reader.close(),
      }
    },
  }
}

interface Way extends Pick<RunOptions, 'parallelism' | 'state' | 'from' | 'stateMemory'> {
  readonly out: string
  readonly stopAfter?: number
}

function run(name: string, input: string, { out, stopAfter, ...options }: Way): Promise<RunSummary> {
  const graph = pipelines[name]!().graph()
  const side = graph.nodes.some(n => n.sink?.name === 'side')
  const sinks = { out: fileSink(`${out}.out`), ...(side ? { side: fileSink(`${out}.side`) } : {}) }
  const stop = new AbortController()
  const events = stopAfter === undefined ? fileSource([input]) : stoppingAfter(stopAfter, fileSource([input]), stop)
  return runEmbedded(graph, { sources: { events }, sinks, batchSize: 13, checkpointMs: 1, signal: stop.signal, ...options })
}

function lines(out: string): { out: string[]; side: string[] } {
  const of = (path: string) => (existsSync(path) ? sortedLines(path) : [])
  return { out: of(`${out}.out`), side: of(`${out}.side`) }
}

async function retained(directory: string): Promise<number[]> {
  const ports = await openEmbedded({ directory })
  try {
    return await listManifests(ports.blobs, (await readRun(ports))!.run)
  } finally {
    await ports.close()
  }
}

/** Nothing of a run that was gone back behind stays. */
async function onlyOneRun(directory: string): Promise<void> {
  const ports = await openEmbedded({ directory })
  const { run } = (await readRun(ports))!
  await ports.close()
  const db = openSqlite(join(directory, 'state.db'))
  const names = [
    'select key as name from blobs',
    'select log as name from slots',
    'select log as name from floors',
    'select pk as name from base',
    'select stream as name from frames join channels on frames.id / 68719476736 = channels.id',
  ].flatMap(sql =>
    db
      .prepare(sql)
      .all()
      .map(row => String(row.name)),
  )
  db.close()
  assert.ok(names.length > 5)
  assert.deepEqual(
    names.filter(name => !name.includes(run) && !['meta', 'restoring'].includes(name)),
    [],
  )
}

for (const [turn, name] of Object.keys(pipelines).entries()) {
  test(`${name}: a run from any retained checkpoint ends with the results of an undisturbed one`, async t => {
    const dir = scratch(t)
    const input = writeEvents(join(dir, 'events.ndjson'), generate(EVENTS, 30 + turn))
    const parallelism = turn % 2 === 0 ? 1 : 3
    const stateMemory = turn % 3 === 0 ? 1 : undefined
    const at = (file: string) => join(dir, file)
    await run(name, input, { out: at('reference'), parallelism })
    const reference = lines(at('reference'))
    const state = at('state')
    const stopAfter = 100 + ((turn * 67) % 400)
    const first = await run(name, input, { out: at('first'), state, parallelism, stateMemory, stopAfter })
    assert.equal(first.outcome, 'stopped')
    const checkpoints = await retained(state)
    assert.equal(checkpoints.at(-1), first.checkpoints.last)
    for (const checkpoint of checkpoints) {
      for (const end of ['out', 'side']) {
        if (existsSync(at(`first.${end}`))) copyFileSync(at(`first.${end}`), at(`copy-${checkpoint}.${end}`))
      }
      const to = { out: at(`copy-${checkpoint}`), state: at(`state-${checkpoint}`), parallelism, stateMemory }
      // It is stopped and goes on, so that what a restore leaves behind is read from disk too.
      const from = { directory: state, checkpoint }
      await run(name, input, { ...to, from, stopAfter: 30 })
      const forked = await run(name, input, to)
      assert.equal(forked.outcome, 'finished')
      assert.deepEqual(lines(to.out), reference, `from checkpoint ${checkpoint} of ${checkpoints}`)
    }
    // In memory, into a file of its own: what was committed before and what came after are all there is.
    await run(name, input, { out: at('rest'), from: { directory: state }, parallelism })
    const [before, after] = [lines(at('first')), lines(at('rest'))]
    assert.deepEqual({ out: [...before.out, ...after.out].sort(), side: [...before.side, ...after.side].sort() }, reference)
    // Back to the oldest one, in place; and the original goes on as if nothing had been.
    await run(name, input, {
      out: at('first'),
      state,
      from: { directory: state, checkpoint: checkpoints[0]! },
      parallelism,
      stopAfter: 20,
    })
    await run(name, input, { out: at('first'), state, parallelism })
    assert.deepEqual(lines(at('first')), reference)
    await onlyOneRun(state)
  })
}

test('a fork leaves its origin alone, and a snapshot of another shape or a used directory is refused', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(300, 5))
  const at = (file: string) => join(dir, file)
  const name = 'session'
  await run(name, input, { out: at('a'), state: at('a-state'), stopAfter: 100 })
  const before = readFileSync(at('a.out'), 'utf8')
  await run(name, input, { out: at('b'), state: at('b-state'), from: { directory: at('a-state') } })
  assert.equal(readFileSync(at('a.out'), 'utf8'), before)
  await run(name, input, { out: at('a'), state: at('a-state') })
  const from = { directory: at('a-state') }
  await assert.rejects(run(name, input, { out: at('c'), from, parallelism: 2 }), StateMismatchError)
  await assert.rejects(run(name, input, { out: at('c'), state: at('b-state'), from }), /holds a run already/)
  await assert.rejects(
    run(name, input, { out: at('c'), from: { ...from, checkpoint: 9999 } }),
    /has no checkpoint 9999 to start from: it has kept \d/,
  )
  await assert.rejects(run(name, input, { out: at('c'), from: { directory: at('nothing') } }), /holds no run/)
})
