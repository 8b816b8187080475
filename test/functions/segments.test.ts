import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pipeline } from '../../runtime/index.ts'
import { stateOf } from '../../runtime/inspect/state.ts'
import type { Ports } from '../../runtime/ports.ts'
import { keyedNodes } from '../../runtime/stage/keyed-nodes.ts'
import type { StateBackendName } from '../../runtime/state/backend.ts'
import { expected, sorted } from './embedded-run.ts'
import { embeddedWorld } from './embedded-world.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, deploy, drain, environment } from './world.ts'

const ROUNDS = [0, 1, 2, 3].map(round => generate(100, 2, round))
const all = [0, 1].map(split => ROUNDS.flatMap(round => round[split]!))
const embedded = await expected(visits(), all, 2)

function on(stateBackend: StateBackendName): Pipeline {
  const app = visits()
  const graph = app.graph()
  return Object.assign(Object.create(app), { graph: () => ({ ...graph, options: { ...graph.options, stateBackend } }) })
}

/** Rounds with a checkpoint behind each, by functions that are cold in each. */
async function played(stateBackend: StateBackendName) {
  const world = await embeddedWorld(on(stateBackend), ROUNDS[0]!, 2)
  const written = new Set<string>()
  let parts = 0
  const counting = (ports: Ports): Ports => ({
    ...ports,
    store: {
      ...ports.store,
      upsert: items => {
        for (const { pk } of items) written.add(pk.split('|')[0]!)
        return ports.store.upsert(items)
      },
    },
    blobs: {
      ...ports.blobs,
      getRange: (...args) => {
        parts++
        return ports.blobs.getRange(...args)
      },
    },
  })
  const counted = {
    ...world,
    back: (deadline: () => number | undefined) => ({ ...world.back(deadline), ports: counting(world.ports) }),
  }
  for (const [round, splits] of ROUNDS.entries()) {
    if (round > 0)
      for (const [shard, records] of splits.entries())
        for (const r of records) await world.ports.streams.put('users-own', shard, Buffer.from(r))
    const mappings = deploy(counted, world.topology)
    await drain(mappings, 40)
    assert.equal((await checkpoint(counted, mappings)).outcome, 'complete')
  }
  const { meta } = await environment(world).run()
  const { operatorId } = world.topology.stages.flatMap(s => keyedNodes(s.stage))[0]!
  const states = await Promise.all(
    Array.from({ length: 12 }, (_, i) => stateOf(world.ports, meta, { operator: operatorId, key: `u${i}` })),
  )
  return { rows: sorted(await world.rows('pages')), written, parts, states, run: meta.run }
}

test('functions whose state lies in segments write what those with a table write, and no rows of state', async () => {
  const [table, segments] = [await played('table'), await played('segments')]
  assert.deepEqual(table.rows, embedded.pages)
  assert.deepEqual(segments.rows, embedded.pages)
  assert.ok(segments.states.flat().length > 5)
  assert.deepEqual(segments.states, table.states)
  assert.ok(table.written.has(table.run))
  assert.deepEqual([...segments.written], ['marker'])
  assert.equal(table.parts, 0)
  assert.ok(segments.parts > 0, 'state was read from segments')
})
