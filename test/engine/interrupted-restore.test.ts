import assert from 'node:assert/strict'
import { copyFileSync, cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { restoreRun } from '../../runtime/embedded/restore.ts'
import type { SnapshotOrigin } from '../../runtime/embedded/run-options.ts'
import { openSqlite } from '../../runtime/embedded/sqlite.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { shapeOf } from '../../runtime/graph/shape.ts'
import { Topology } from '../../runtime/stage/topology.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { faulty } from './harness.ts'
import { pipelines } from './pipelines.ts'
import { lines, onlyOneRun, retained, run } from './runs.ts'

const NAME = 'process'
const PARALLELISM = 2

function prepare(t: TestContext) {
  const dir = scratch(t)
  const at = (file: string) => join(dir, file)
  const input = writeEvents(at('events.ndjson'), generate(1500, 7))
  const go = (out: string, options: object) => run(NAME, input, { out: at(out), parallelism: PARALLELISM, ...options })
  return {
    at,
    go,
    dying: (from: SnapshotOrigin, state: string, out: string, call: number) => dying(input, from, state, out, call),
  }
}

/** A restore whose process is gone when call `call` of a port is through. False: it needed fewer. */
async function dying(input: string, from: SnapshotOrigin, state: string, out: string, call: number): Promise<boolean> {
  const graph = pipelines[NAME]!().graph()
  const plan = planPhysical(graph, { parallelism: PARALLELISM, chaining: true })
  const splits = new Map([['events', await fileSource([input]).splits()]])
  const sinks = { out: fileSink(`${out}.out`), side: fileSink(`${out}.side`) }
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
