import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Backing } from '../../runtime/aws/functions/environment.ts'
import { readManifest } from '../../runtime/checkpoint/manifest.ts'
import { completeCheckpoints } from '../../runtime/checkpoint/restore.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { expected, sorted } from './embedded-run.ts'
import type { EmbeddedWorld } from './embedded-world.ts'
import { joinSources, restoreStack, stackWorld } from './restored.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, deploy, drain, environment } from './world.ts'

const input = generate(600, 2)
const ROUND = 20
/** Longer than what a fold has deleted stays. */
const LATER_MS = 31 * 60_000

test('what has ended, and has nothing left to be swept, costs later checkpoints no invocation; a run starts from one of these', async t => {
  t.mock.method(console, 'info', () => {})
  const opened = await stackWorld(input.map(() => []))
  let late = 0
  const back = (deadline: () => number | undefined): Backing => {
    const backing = opened.back(deadline)
    const { clock } = backing.ports
    return { ...backing, ports: { ...backing.ports, clock: { ...clock, now: () => clock.now() + late } } }
  }
  const world: EmbeddedWorld = { ...opened, back }
  const { between, topology } = world
  let mappings = deploy(world, topology)
  let fed = 0
  async function flow(records = ROUND) {
    for (const [shard, all] of input.entries())
      for (const record of all.slice(fed, fed + records)) await world.ports.streams.put('users-own', shard, Buffer.from(record))
    fed += records
    await drain(mappings)
  }
  async function completed() {
    await flow(4)
    for (let tries = 0; tries < 4; tries++) {
      const done = (await checkpoint(world, mappings)) as { outcome: string; parts?: number }
      if (done.outcome === 'complete') return done.parts!
    }
    throw new Error('no checkpoint completes')
  }

  // Windows are written to the base, and deleted from there again.
  for (let i = 0; i < 6; i++) {
    await flow()
    assert.equal(await completed(), 4)
  }
  for (const stage of [1, 2]) between.split(topology.stream(stage), 0)
  mappings = deploy(world, topology, stream => between.shards(stream).length)
  await flow()
  assert.equal(await completed(), 8)
  // What their folds have deleted is still there.
  const soon = await completed()
  assert.ok(soon > 6, `${soon}`)
  late += LATER_MS
  // One sweeps it, the next sees that nothing is left.
  for (let i = 0; i < 3; i++) await completed()
  assert.equal(await completed(), 6)

  const { run } = (await readRun(world.ports))!
  const from = (await completeCheckpoints(world.ports, run)).at(-1)!
  const { subtasks } = await readManifest(world.ports.blobs, run, from)
  assert.deepEqual([subtasks.length, subtasks.filter(s => s.ended && s.settled).length], [10, 2])
  await flow()
  await restoreStack(world, { checkpoint: from })
  await joinSources(world, (await environment(world).run()).topology)
  await flow(input[0]!.length)
  await checkpoint(world, mappings)
  assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), input, 2)).pages)
})
