import assert from 'node:assert/strict'
import { copyFileSync, cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { Sink } from '../../runtime/connectors/sink.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { restoreRun } from '../../runtime/embedded/restore.ts'
import type { SnapshotOrigin } from '../../runtime/embedded/run-options.ts'
import { openSqlite } from '../../runtime/embedded/sqlite.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { shapeOf } from '../../runtime/graph/shape.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { Topology } from '../../runtime/stage/topology.ts'
import { memoryBlobs } from '../connectors/memory-blobs.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { faulty } from './harness.ts'
import { pipelines } from './pipelines.ts'
import { lines, onlyOneRun, retained, run } from './runs.ts'

const NAME = 'process'
const PARALLELISM = 2

type Sinks = Record<'out' | 'side', Sink<any>>

function prepare(t: TestContext) {
  const dir = scratch(t)
  const at = (file: string) => join(dir, file)
  const input = writeEvents(at('events.ndjson'), generate(1500, 7))
  const go = (out: string, options: object) => run(NAME, input, { out: at(out), parallelism: PARALLELISM, ...options })
  return {
    at,
    go,
    dying: (from: SnapshotOrigin, state: string, out: string, call: number, sinks = fileSinks(out)) =>
      dying(input, from, state, sinks, call),
  }
}

const fileSinks = (out: string): Sinks => ({ out: fileSink(`${out}.out`), side: fileSink(`${out}.side`) })

/** A restore whose process is gone when call `call` of a port is through. False: it needed fewer. */
async function dying(input: string, from: SnapshotOrigin, state: string, sinks: Sinks, call: number): Promise<boolean> {
  const graph = pipelines[NAME]!().graph()
  const plan = planPhysical(graph, { parallelism: PARALLELISM, chaining: true })
  const splits = new Map([['events', await fileSource([input]).splits()]])
  const sources = new Map(plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, 1]])))
  const ports = await openEmbedded({ directory: state })
  let dead = false
  const broken = faulty(ports, ({ n, when }) => {
    if (dead || (n === call && when === 'after')) {
      dead = true
      throw new Error('killed')
    }
  })
  const kind = { pipeline: graph.name, shape: shapeOf(plan), splits: Object.fromEntries(splits) }
  const topologyOf = (id: string) => new Topology(plan, graph.name, id, sources, { sinks, splits, snapshots: true })
  try {
    await restoreRun({ ...ports, ...broken }, from, () => kind, topologyOf)
  } catch (error) {
    if (!dead) throw error
  } finally {
    await ports.close()
  }
  return dead
}

for (const call of [9, 13, 17]) {
  test(`a fork dies at call ${call}, its origin goes on, and the same command starts from what is there then`, async t => {
    const { at, go, dying } = prepare(t)
    const directory = at('origin')
    await go('a', { state: directory, stopAfter: 500 })
    assert.ok(await dying({ directory }, at('fork-state'), at('fork'), call))
    await assert.rejects(
      go('fork', { state: at('fork-state') }),
      /starting from the newest checkpoint was interrupted.*same command/,
    )
    await go('a', { state: directory, stopAfter: 400 })
    await go('clean', { state: at('clean-state'), from: { directory } })
    await go('fork', { state: at('fork-state'), from: { directory } })
    assert.deepEqual(lines(at('fork')), lines(at('clean')))
    await onlyOneRun(at('fork-state'))
  })
}

test('going back in place may die at any call, and then to an older checkpoint, or to the same again', async t => {
  const { at, go, dying } = prepare(t)
  await go('whole', {})
  await go('a', { state: at('s'), stopAfter: 900 })
  const kept = await retained(at('s'))
  for (let call = 9, died = true; died; call += 4) {
    for (const checkpoint of [kept[0]!, kept.at(-1)!]) {
      const [out, state] = [`w-${call}-${checkpoint}`, at(`s-${call}-${checkpoint}`)]
      cpSync(at('s'), state, { recursive: true })
      for (const end of ['out', 'side']) if (existsSync(at(`a.${end}`))) copyFileSync(at(`a.${end}`), at(`${out}.${end}`))
      const newest = { directory: state, checkpoint: kept.at(-1)! }
      died = await dying(newest, state, at(out), call)
      if (!died) break
      // At the very last call the new run was there already: it has no older checkpoint.
      if (!(await retained(state)).includes(checkpoint)) continue
      await go(out, { state, from: { directory: state, checkpoint } })
      assert.deepEqual(lines(at(out)), lines(at('whole')))
      await onlyOneRun(state)
    }
  }
})

// If sinks are taken back to the older one before the restore is sure to go on, the newest one starts behind a hole in the output.
for (const kind of ['files', 'objects'] as const) {
  test(`going back to the oldest may die at any call: the newest then gives all ${kind} hold, or is refused by name and the oldest does`, async t => {
    const { at, go, dying } = prepare(t)
    await go('whole', {})
    const bucket = memoryBlobs()
    const objects = (of: Blobs): Sinks => ({ out: blobSink(of, 'out', 'out'), side: blobSink(of, 'side', 'side') })
    await go('a', { state: at('s'), stopAfter: 900, ...(kind === 'objects' && { sinks: objects(bucket) }) })
    const kept = await retained(at('s'))
    const [oldest, newest] = [kept[0]!, kept.at(-1)!]
    const outcomes = { whole: 0, refused: 0 }
    for (let call = 13, died = true; died; call += 4) {
      const [out, state] = [`w-${call}`, at(`s-${call}`)]
      cpSync(at('s'), state, { recursive: true })
      for (const end of ['out', 'side']) if (existsSync(at(`a.${end}`))) copyFileSync(at(`a.${end}`), at(`${out}.${end}`))
      const copy = memoryBlobs()
      for (const key of bucket.keys()) await copy.put(key, (await bucket.get(key))!)
      const sinks = kind === 'files' ? fileSinks(at(out)) : objects(copy)
      died = await dying({ directory: state, checkpoint: oldest }, state, at(out), call, sinks)
      // At the very last call the new run was there already.
      if (!died || !(await retained(state)).includes(newest)) break
      const from = (checkpoint: number | undefined) => go(out, { state, sinks, from: { directory: state, checkpoint } })
      const message = `starting from checkpoint ${oldest} was interrupted .* start from checkpoint ${oldest}, or from an older one`
      const refused = await from(newest).then(
        () => false,
        error => assert.match(error.message, new RegExp(message)) ?? true,
      )
      if (refused) {
        await assert.rejects(from(undefined), new RegExp(message))
        await from(oldest)
      }
      outcomes[refused ? 'refused' : 'whole']++
      const rows = async (end: string) => (await visibleRows(copy, `${end}/`)).map(row => JSON.stringify(row)).sort()
      assert.deepEqual(
        kind === 'files' ? lines(at(out)) : { out: await rows('out'), side: await rows('side') },
        lines(at('whole')),
      )
      await onlyOneRun(state)
    }
    assert.ok(outcomes.whole > 3 && outcomes.refused > 1, JSON.stringify(outcomes))
  })
}

test('a process that dies before it has forgotten the old run leaves that to the next one', async t => {
  const { at, go } = prepare(t)
  const state = at('s')
  await go('a', { state, stopAfter: 500 })
  const sql = (text: string) => {
    const db = openSqlite(join(state, 'state.db'))
    db.exec(text)
    db.close()
  }
  sql("create trigger dies before delete on slots begin select raise(abort, 'killed'); end")
  await assert.rejects(go('a', { state, from: { directory: state } }), /killed/)
  sql('drop trigger dies')
  await go('a', { state })
  await go('whole', {})
  assert.deepEqual(lines(at('a')), lines(at('whole')))
  await onlyOneRun(state)
})
