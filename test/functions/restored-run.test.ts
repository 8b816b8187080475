import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PositionExpiredError } from '../../runtime/aws/errors.ts'
import { checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import type { Backing } from '../../runtime/aws/functions/environment.ts'
import { joinHandler } from '../../runtime/aws/functions/join-source.ts'
import { materialiseHandler, type PartRef } from '../../runtime/aws/functions/materialise.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { readManifest } from '../../runtime/checkpoint/manifest.ts'
import { completeCheckpoints } from '../../runtime/checkpoint/restore.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { within } from '../../runtime/connectors/within.ts'
import { stagesOf } from '../../runtime/inspect/stages.ts'
import type { RangedBlobs } from '../../runtime/ports.ts'
import { FENCED, loadHead } from '../../runtime/protocol/log.ts'
import { writeSavepoint } from '../../runtime/savepoint/write.ts'
import { openShards } from '../../runtime/stage/layout.ts'
import type { Topology } from '../../runtime/stage/topology.ts'
import { faulty } from '../engine/harness.ts'
import { expected, sorted } from './embedded-run.ts'
import type { EmbeddedWorld } from './embedded-world.ts'
import { openResharding, shardMapping } from './resharding.ts'
import { joinSources, restoreStack, stackWorld } from './restored.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment, eventOf, FOLD_SOON, shardId } from './world.ts'

const input = generate(400, 2)
const embedded = await expected(visits(), input, 2)

const runOf = async ({ ports }: EmbeddedWorld) => (await readRun(ports))!
const kept = async (world: EmbeddedWorld) => completeCheckpoints(world.ports, (await runOf(world)).run)
const topologyNow = async (world: EmbeddedWorld) => (await environment(world).run()).topology

const FIRST = 150
/** Of a restore's calls: some twelfths of the way. */
const PLACES = 12

/** What comes to the stream after all of that. */
async function feed(world: EmbeddedWorld, from = FIRST, to?: number): Promise<void> {
  for (const [shard, records] of input.entries())
    for (const record of records.slice(from, to)) await world.ports.streams.put('users-own', shard, Buffer.from(record))
}

/** A stack with two checkpoints and more behind them, its environments warm. */
async function open() {
  const world = await stackWorld(input.map(records => records.slice(0, FIRST)))
  const mappings = deploy(world, world.topology)
  for (const m of mappings) await m.step(40)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  for (const m of mappings) await m.step(60)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  for (const m of mappings) await m.step(30)
  return { world, mappings }
}

async function finish(world: EmbeddedWorld, mappings: ReturnType<typeof deploy>): Promise<void> {
  await drain(mappings)
  await checkpoint(world, mappings)
  assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
}

/** Into the other stack's bucket, as the command does it. */
async function copyTo(from: EmbeddedWorld, n: number, to: EmbeddedWorld): Promise<string> {
  const { run } = await runOf(from)
  const manifest = await readManifest(from.ports.blobs, run, n)
  const blobs = within(to.ports.blobs, 'restores/x/')
  await writeSavepoint(manifest, from.ports.blobs, blobs, { kind: 'stack', name: 'the stack' }, to.ports)
  return 'restores/x/'
}

describe('a stack that goes back', () => {
  test('to an older checkpoint has, in the end, the results of a run that never did: mappings stand beyond it, and environments are warm', async () => {
    const { world, mappings } = await open()
    const [first] = await kept(world)
    assert.equal(first, 1)
    const old = await runOf(world)
    const { run, checkpoint: n } = await restoreStack(world, { checkpoint: 1 })
    assert.deepEqual([n, (await runOf(world)).run], [1, run])
    assert.notEqual(run, old.run)
    await feed(world)
    // Nothing of what its mapping brings is taken before the source has read on.
    assert.equal(await mappings[0]!.step(), false)
    await joinSources(world, await topologyNow(world))
    await finish(world, mappings)
  })

  test('again and again, also to the checkpoint that it began with', async () => {
    const { world, mappings } = await open()
    for (const n of [2, 2, 2]) {
      await restoreStack(world, { checkpoint: n })
      await joinSources(world, await topologyNow(world))
      await drain(mappings, 17)
    }
    await feed(world)
    await finish(world, mappings)
  })

  test('takes what was on its way to a subtask, though nothing comes any more: its first checkpoint wakes it', async () => {
    const world = await stackWorld(input.map(records => records.slice(0, FIRST)))
    const mappings = deploy(world, world.topology)
    const [first, second, ...behind] = mappings as [Mapping, Mapping, ...Mapping[]]
    // The barrier of the one source subtask is a long way ahead of the other's.
    await second.step(10)
    await checkpointOf(world, async cut => {
      await first.step(FIRST)
      await cut(0)
      await drain(behind)
      await second.step(FIRST)
      await drain(behind)
      await cut(1)
      await drain(behind)
    })
    const { run } = await runOf(world)
    const { subtasks } = await readManifest(world.ports.blobs, run, 1)
    assert.ok(subtasks.some(s => s.channelState.length > 0))
    await restoreStack(world, { checkpoint: 1 })
    await joinSources(world, await topologyNow(world))
    assert.equal((await checkpoint(world, mappings, { scheduled: true })).outcome, 'complete')
    // What that set off is of the next, and then there is nothing more.
    for (let i = 0; (await checkpoint(world, mappings, { scheduled: true })).outcome !== 'nothing'; i++) assert.ok(i < 4)
    await feed(world)
    await finish(world, mappings)
  })

  test('behind splits and merges of the streams between its stages goes on with the shards that there are (F, D8)', async t => {
    t.mock.method(console, 'info', () => {})
    const { world } = await open()
    const { between, topology } = world
    const [first, second] = [topology.stream(1), topology.stream(2)]
    let mappings: ReturnType<typeof deploy>
    const deployNow = () => {
      mappings = deploy(world, topology, stream => between.shards(stream).length)
    }
    let fed = FIRST
    async function flow(): Promise<void> {
      await feed(world, fed, fed + 4)
      fed += 4
      await drain(mappings, 17)
    }
    async function completed(): Promise<number> {
      await flow()
      for (let i = 0; ; i++) {
        const { outcome } = await checkpoint(world, mappings)
        if (outcome === 'complete') return (await kept(world)).at(-1)!
        assert.ok(outcome === 'failed' && i < 3)
      }
    }
    between.split(first, 0)
    between.split(second, 1, 0.3)
    deployNow()
    const third = await completed()
    between.merge(first, 3)
    deployNow()
    const fourth = await completed()
    for (const n of [third, fourth, fourth + 1]) {
      await flow()
      const old = await topologyNow(world)
      await restoreStack(world, { checkpoint: n })
      const { shard } = openShards(old.layout(1)).at(-1)!
      assert.equal(await world.ports.log.floor(old.log(1, shard)), FENCED, 'also of those that have taken over')
      const now = await topologyNow(world)
      assert.ok(now.layout(1).every(({ children, unused = false }) => unused === (children !== undefined)))
      await joinSources(world, now)
      await completed()
      // And while the new run is on.
      between.split(
        second,
        between.shards(second).findLastIndex(({ closed }) => !closed),
      )
      deployNow()
      await flow()
    }
    await feed(world, fed)
    await finish(world, mappings!)
  })

  test('while a stream between its stages is being changed is refused by name, before anything has', async () => {
    const { world, mappings } = await open()
    const before = await runOf(world)
    let looks = 0
    const back = (deadline: () => number | undefined): Backing => {
      const backing = world.back(deadline)
      const { stageStreams, ports } = backing
      const clock = { ...ports.clock, sleep: async () => {} }
      const listShards = async (name: string) => {
        looks++
        return (await stageStreams.listShards(name)).slice(1)
      }
      return { ...backing, ports: { ...ports, clock }, stageStreams: { ...stageStreams, listShards } }
    }
    await assert.rejects(restoreStack(world, { checkpoint: 1 }, { back }), {
      name: 'StageStreamSplitError',
      message: /do not cover all hash keys once.*: give the same command again/,
    })
    assert.ok(looks > 2)
    assert.deepEqual(await runOf(world), before)
    await feed(world)
    await finish(world, mappings)
  })

  test('to a checkpoint that is not there, says which are', async () => {
    const { world, mappings } = await open()
    await assert.rejects(restoreStack(world, { checkpoint: 7 }), /has no checkpoint 7 to go back to: it has kept 1, 2/)
    await feed(world)
    await finish(world, mappings)
  })
})

type Mapping = ReturnType<typeof deploy>[number]

/** The steps of a checkpoint, with what happens between them. */
async function checkpointOf(world: EmbeddedWorld, flow: (cut: (shard: number) => Promise<unknown>) => Promise<void>) {
  const controller = checkpointHandler(environment(world))
  const start = (await controller({ step: 'start' }, context())) as StartedCheckpoint
  const { stage } = world.topology.stages[0]!
  await flow(shard => cutHandler(environment(world, stage.id))({ shards: [shard], checkpoint: start.checkpoint }, context()))
  const { parts } = (await controller({ step: 'collect', start }, context())) as { parts?: readonly PartRef[]; missing: string[] }
  const materialise = materialiseHandler(environment(world), FOLD_SOON)
  const materialised = []
  for (const part of parts!) materialised.push(await materialise({ start, part }, context()))
  await controller({ step: 'complete', start, materialised }, context())
}

const asMessage = (error: Error) => error.message

describe('a restore', () => {
  test('that dies at any call is done again by the same command, and what it had begun counts for nothing', async () => {
    const calls = await callsOf()
    const told: unknown[] = []
    for (let dieAt = 1; dieAt <= calls; dieAt += Math.ceil(calls / PLACES)) {
      const { world, mappings } = await open()
      let dead = false
      const ports = faulty(world.ports, ({ n, when }) => {
        dead ||= n === dieAt && when === 'after'
        if (dead) throw new Error('killed')
      })
      const back = (deadline: () => number | undefined) => ({ ...world.back(deadline), ports })
      await assert.rejects(restoreStack(world, { checkpoint: 1 }, { back }), /killed/)
      const begun = (await runOf(world)).origin === undefined
      // Sinks that were taken back to the first have a hole before the second.
      const refused = begun && (await restoreStack(world, { checkpoint: 2 }).then(() => undefined, asMessage))
      if (typeof refused === 'string')
        assert.match(refused, /checkpoint 1 was interrupted in this stack .* checkpoint 2 would leave a hole/)
      told.push(refused)
      // What was through but for its answer is gone back in once more.
      if (refused !== undefined) await restoreStack(world, { checkpoint: 1 })
      await joinSources(world, await topologyNow(world))
      await feed(world)
      await finish(world, mappings)
    }
    assert.ok(told.includes(undefined) && told.some(refused => typeof refused === 'string'))
  })

  /** Of a restore that nothing happens to. */
  async function callsOf(): Promise<number> {
    const { world } = await open()
    let calls = 0
    const ports = faulty(world.ports, ({ n }) => {
      calls = n
    })
    await restoreStack(world, { checkpoint: 1 }, { back: deadline => ({ ...world.back(deadline), ports }) })
    return calls
  }

  test('of what is no stream of Kinesis, or is past its retention, is refused before anything has changed', async () => {
    const { world, mappings } = await open()
    const kafka = { visits: { kind: 'kafka', topic: 'visits', partitions: 2 } } as const
    await assert.rejects(restoreStack({ ...world, settings: { ...world.settings, sources: kafka } }, { checkpoint: 1 }), {
      name: 'PositionError',
      message: /^source 'visits' reads Kafka, whose mapping can't go back to where checkpoint 1 stands: with --new-input/,
    })
    const expired = new PositionExpiredError('stream users-own', shardId(0), '7', 'the oldest record behind it is 9')
    const back = (deadline: () => number | undefined) => {
      const { sourceStreams, ...backing } = world.back(deadline)
      return { ...backing, sourceStreams: { ...sourceStreams, read: () => Promise.reject(expired) } }
    }
    await assert.rejects(restoreStack(world, { checkpoint: 1 }, { back }), { name: 'PositionExpiredError' })
    await feed(world)
    await finish(world, mappings)
  })
})

describe('a checkpoint that is held', () => {
  test('too late, when newer ones have made it one too many, is refused before anything has changed', async () => {
    const { world, mappings } = await open()
    await feed(world)
    // The hold comes while two more complete, whose retention has not seen it yet.
    const { put } = world.ports.blobs
    const back = (deadline: () => number | undefined) => {
      const backing = world.back(deadline)
      const blobs: RangedBlobs = {
        ...backing.ports.blobs,
        put: async (key, bytes) => {
          if (key.startsWith('holds/')) for (let i = 0; i < 2; i++) await another()
          await put(key, bytes)
        },
      }
      return { ...backing, ports: { ...backing.ports, blobs } }
    }
    const another = async () => {
      for (const m of mappings) await m.step(20)
      assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    }
    const before = await runOf(world)
    await assert.rejects(restoreStack(world, { checkpoint: 1 }, { back }), {
      name: 'RestoreError',
      message: /^checkpoint 1 of this stack is one too many, and may be deleted at any moment: start from a newer one/,
    })
    assert.deepEqual(await runOf(world), before)
    await finish(world, mappings)
  })
})

describe('an environment of a run that another has taken the place of', () => {
  test('commits nothing: what it was given comes again, or is taken by the new run', async () => {
    const { world, mappings } = await open()
    const { stage } = world.topology.stages[0]!
    const warm = stageHandler(environment(world, stage.id))
    await warm(await batch(world, 'users-own', 0, 5), context())
    await restoreStack(world, { checkpoint: 1 })
    await feed(world)
    const { batchItemFailures } = await warm(await batch(world, 'users-own', 0, 500), context())
    assert.equal(batchItemFailures.length, 1)
    await joinSources(world, await topologyNow(world))
    await finish(world, mappings)
  })

  test('can be looked at once that is through, and says by name why not before', async () => {
    const { world, mappings } = await open()
    let dead = false
    const ports = faulty(world.ports, ({ name, args, when }) => {
      dead ||= name === 'log.raiseFloor' && args[1] === FENCED && when === 'after'
      if (dead) throw new Error('killed')
    })
    await assert.rejects(restoreStack(world, { checkpoint: 2 }, { back: d => ({ ...world.back(d), ports }) }), /killed/)
    await assert.rejects(stagesOf(world.ports.log, await runOf(world)), {
      name: 'FencedLogError',
      message: /source-visits\/0 takes nothing more: its run has been replaced, or is about to be.* give the same command again/,
    })
    await restoreStack(world, { checkpoint: 2 })
    const [visits] = await stagesOf(world.ports.log, await runOf(world))
    assert.equal(visits!.subtasks, 2)
    await joinSources(world, await topologyNow(world))
    await feed(world)
    await finish(world, mappings)
  })

  test('hears of the new run by its frames, which it would drop: not one is told to be through before it is', async () => {
    const { world, mappings } = await open()
    const stage = world.topology.stages[1]!.stage
    const stream = world.topology.stream(1)
    const warm = stageHandler(environment(world, stage.id))
    await warm(await batch(world, stream, 0, 500), context())
    await restoreStack(world, { checkpoint: 1 })
    await feed(world)
    const topology = await topologyNow(world)
    await joinSources(world, topology)
    const before = await position(world, topology)
    assert.deepEqual(await warm(await batch(world, stream, 0, 500), context()), { batchItemFailures: [] })
    assert.ok((await position(world, topology)) > before)
    await finish(world, mappings)
  })

  test('that hears of the new run by a join takes what its mapping brings: handlers share an environment', async () => {
    const { world, mappings } = await open()
    const { stage } = world.topology.stages[0]!
    const shared = environment(world, stage.id)
    const warm = stageHandler(shared)
    await warm(await batch(world, 'users-own', 0, 5), context())
    await restoreStack(world, { checkpoint: 1 })
    assert.deepEqual(await joinHandler(shared)({ join: 0 }, context()), { joined: true })
    await feed(world)
    assert.deepEqual(await warm(await batch(world, 'users-own', 0, 500), context()), { batchItemFailures: [] })
    await joinSources(world, await topologyNow(world))
    await finish(world, mappings)
  })

  async function batch(world: EmbeddedWorld, stream: string, shard: number, limit: number) {
    return eventOf(await world.poll(stream, shard, undefined, limit), shardId(shard))
  }

  async function position({ ports }: EmbeddedWorld, topology: Topology): Promise<string> {
    return (await loadHead(ports.log, topology.log(1, 0), Number.POSITIVE_INFINITY)).head.fields.position.seq
  }
})

describe('a fork', () => {
  test('reads the same stream on from the checkpoint, into sinks of its own; the original is untouched', async () => {
    const { world, mappings } = await open()
    await feed(world)
    const fork = await stackWorld(
      input.map(() => []),
      world,
    )
    const savepoint = await copyTo(world, 1, fork)
    const before = await runOf(world)
    const from = { savepoint, name: 'checkpoint 1' }
    await assert.rejects(restoreStack(fork, from), /has a run already, which did not begin with checkpoint 1/)
    await restoreStack(fork, from, { replace: true })
    const topology = await topologyNow(fork)
    const forked = deploy(fork, topology)
    // As far as its mapping had come, before it was stopped.
    await joinSources(fork, topology)
    await drain(forked)
    assert.equal((await checkpoint(fork, forked)).outcome, 'complete')
    const beforeFork = (await rowsAt(1)).map(row => JSON.stringify(row))
    const rows = sorted(await fork.rows('pages'))
    assert.deepEqual([...beforeFork, ...rows].sort(), embedded.pages)
    assert.deepEqual(await runOf(world), before)
    await finish(world, mappings)
  })

  test('in the place of a run that read another stream, which had shards with higher numbers, reads on', {
    timeout: 10_000,
  }, async () => {
    const { world } = await open()
    await feed(world)
    const other = openResharding(2)
    const fork = await stackWorld(
      input.map(() => []),
      world,
    )
    const onOther = { ...fork, back: (d: () => number | undefined) => ({ ...fork.back(d), sourceStreams: other.source }) }
    const handler = stageHandler(environment(onOther, fork.topology.stages[0]!.stage.id))
    const mapping = shardMapping(other, () => handler)
    other.split(other.shards[0]!)
    for (const [i, json] of input.flat().slice(0, 40).entries()) other.put(i % 64, json)
    while (await mapping.step());
    const from = { savepoint: await copyTo(world, 1, fork), name: 'checkpoint 1' }
    await restoreStack(fork, from, { replace: true })
    // Twenty times as fast.
    const begun = Date.now()
    const clock = { now: () => begun + (Date.now() - begun) * 20, sleep: (ms: number) => sleep(ms / 20) }
    const back: typeof fork.back = deadline => ({ ...fork.back(deadline), ports: { ...fork.ports, clock } })
    await joinSources({ ...fork, back }, await topologyNow(fork))
  })

  async function rowsAt(checkpoints: number) {
    const world = await stackWorld(input.map(records => records.slice(0, FIRST)))
    const mappings = deploy(world, world.topology)
    for (let n = 0; n < checkpoints; n++) {
      for (const m of mappings) await m.step(40)
      await checkpoint(world, mappings)
    }
    return world.rows('pages')
  }
})
