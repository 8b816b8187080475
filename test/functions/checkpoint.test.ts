import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CheckpointAnswer, checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { lookHandler } from '../../runtime/aws/functions/look.ts'
import { materialiseHandler, type PartRef } from '../../runtime/aws/functions/materialise.ts'
import { decisions } from '../../runtime/checkpoint/decision.ts'
import { listManifests, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { tellStop } from '../../runtime/checkpoint/stops.ts'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import type { Blobs, Ports, RangedBlobs } from '../../runtime/ports.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { pack } from '../../runtime/state/codec.ts'
import { expected, sorted } from './embedded-run.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment, FOLD_SOON } from './world.ts'

const input = generate(300, 2)
const embedded = await expected(visits(), input, 2)

async function open() {
  const world = await embeddedWorld(visits(), input, 2)
  const mappings = deploy(world, world.topology)
  const controller = checkpointHandler(environment(world))
  const step = async <T = any>(event: object): Promise<T> => {
    const answer: CheckpointAnswer = await controller(JSON.parse(JSON.stringify(event)), context())
    return JSON.parse(JSON.stringify(answer)) as T
  }
  /** The stages behind the source: what flows already, and nothing new. */
  const behind = mappings.slice(2)
  return { world, mappings, behind, step }
}

type Opened = Awaited<ReturnType<typeof open>>

/** Everything is through, and a checkpoint that all have acked. */
async function acked({ world, mappings, step }: Opened) {
  await drain(mappings)
  const start = await step<StartedCheckpoint>({ step: 'start' })
  await cutAll(world, start)
  await drain(mappings)
  const { parts } = await step({ step: 'collect', start })
  return { start, parts }
}

async function cutAll(world: EmbeddedWorld, { sources, checkpoint: n }: StartedCheckpoint): Promise<boolean[]> {
  const cuts = sources.map(({ stage, shards }) => cutHandler(environment(world, stage))({ shards, checkpoint: n }, context()))
  return (await Promise.all(cuts)).flatMap(({ cut }) => cut)
}

async function materialiseAll(world: EmbeddedWorld, start: StartedCheckpoint, parts: readonly PartRef[]) {
  const materialise = materialiseHandler(environment(world), FOLD_SOON)
  return Promise.all(parts.map(part => materialise({ start, part }, context())))
}

/** A checkpoint that is complete, and whose sinks have not committed. Gives how it began. */
async function dieBeforeSinks(opened: Opened): Promise<StartedCheckpoint> {
  const { world } = opened
  const { start, parts } = await acked(opened)
  const materialised = await materialiseAll(world, start, parts)
  const dead = async (): Promise<never> => Promise.reject(new Error('killed'))
  const dying = () => ({ ...world.back(() => undefined), sinks: sinksOn({ ...world.ports.blobs, put: dead }) })
  await assert.rejects(
    checkpointHandler(environment(world, undefined, dying))({ step: 'complete', start, materialised }, context()),
    /killed/,
  )
  assert.deepEqual(await outcomes(world), ['complete'])
  assert.deepEqual(await world.rows('pages'), [])
  return start
}

function sinksOn(blobs: Blobs) {
  return Object.fromEntries(['pages', 'rejected'].map(name => [name, blobSink(blobs, `results/${name}`, name)]))
}

async function outcomes(world: EmbeddedWorld): Promise<string[]> {
  return (await decisions(world.ports.log, world.topology.run)).map(d => d.decision.outcome)
}

/** The end of a test: the rows of an embedded run, each once. */
async function finish(world: EmbeddedWorld, mappings: ReturnType<typeof deploy>): Promise<void> {
  await drain(mappings)
  await checkpoint(world, mappings)
  assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
}

describe('checkpoints', () => {
  test('nothing is there to be saved: before the first batch, and when nothing flowed since the last one', async () => {
    const { world, mappings, behind, step } = await open()
    assert.deepEqual(await step({ step: 'start' }), { nothing: true })
    await mappings[0]!.step(20)
    await drain(behind)
    assert.equal((await checkpoint(world, behind)).outcome, 'complete')
    assert.deepEqual(await step({ step: 'start' }), { nothing: true })
    await mappings[0]!.step(1)
    assert.equal((await step<StartedCheckpoint>({ step: 'start' })).checkpoint, 2)
    await finish(world, mappings)
  })

  for (const by of ['start', 'look'] as const)
    test(`output is not held back when whoever decided died before the sinks committed, and nothing flows any more (D7): ${by} finds it`, async () => {
      const opened = await open()
      const { world } = opened
      const idleStep = async (back = world.back) => {
        if (by === 'start')
          return assert.deepEqual(await checkpointHandler(environment(world, undefined, back))({ step: 'start' }, context()), {
            nothing: true,
          })
        const never = { running: async () => assert.fail(), start: async () => assert.fail() }
        const look = lookHandler(environment(world, undefined, back), never)
        assert.deepEqual(await look({ step: 'look', machine: 'm' }, context()), { looked: 'nothing' })
      }
      await dieBeforeSinks(opened)
      await idleStep()
      assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
      const calls: string[] = []
      const list = (prefix: string) => {
        calls.push(prefix)
        return world.ports.blobs.list(prefix)
      }
      const counted = { ...world.ports.blobs, list }
      const idle = () => ({ ...world.back(() => undefined), sinks: sinksOn(counted) })
      await idleStep(idle)
      assert.deepEqual(calls, [], 'a pipeline that stands still asks no bucket')
    })

  test('output is not held back either when the next checkpoint had begun, and the pipeline was stopped then (D7)', async () => {
    const opened = await open()
    const { world, mappings, step } = opened
    const start = await dieBeforeSinks(opened)
    assert.deepEqual(await cutAll(world, { ...start, checkpoint: 2 }), [true, true])
    await drain(mappings)
    await tellStop(world.ports, world.topology.run, true)
    assert.deepEqual(await step({ step: 'start', scheduled: true }), { nothing: true })
    assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
  })

  test('a stack that has never had a batch has no run: none is made by asking', async () => {
    const { world } = await open()
    const put: string[] = []
    const putIfAbsent = async (name: string) => put.push(name) > 0
    const empty = (deadline: () => number | undefined) => {
      const log = { ...world.ports.log, range: async () => [], putIfAbsent }
      return { ...world.back(deadline), ports: { ...world.ports, log } }
    }
    const controller = checkpointHandler(environment(world, undefined, empty))
    assert.deepEqual(await controller({ step: 'start' }, context()), { nothing: true })
    assert.deepEqual(put, [])
  })

  test('a time-out names the subtasks that did not ack; the one before stays, and the next has all of it (D7)', async () => {
    const { world, mappings, behind, step } = await open()
    for (const m of mappings) await m.step(40)
    await checkpoint(world, behind)
    const before = await world.rows('pages')
    for (const m of mappings) await m.step(60)
    const start = await step<StartedCheckpoint>({ step: 'start' })
    assert.equal(start.previous, 1)
    await cutAll(world, { ...start, sources: [{ ...start.sources[0]!, shards: [0] }] })
    await drain(behind)
    const { parts, missing } = await step({ step: 'collect', start })
    assert.equal(parts, undefined)
    const [source, keyed] = world.topology.stages.map(s => s.stage.id)
    const names = missing.map((log: string) => log.slice(world.topology.run.length + 1))
    assert.deepEqual(names, [`${source}/1`, `${keyed}/0`, `${keyed}/1`])
    const { outcome, reason } = await step({ step: 'fail', start, missing })
    assert.equal(outcome, 'failed')
    assert.match(reason, /no ack in time from \S+\/source-visits\/1, /)
    assert.deepEqual(await world.rows('pages'), before)
    await finish(world, mappings)
    assert.deepEqual(await outcomes(world), ['complete', 'failed', 'complete'])
  })

  test('an error is the reason when no subtask is missing, cut to a length', async () => {
    const { world, mappings, step } = await open()
    await mappings[0]!.step(20)
    const start = await step<StartedCheckpoint>({ step: 'start' })
    const { outcome, reason } = await step({ step: 'fail', start, reason: 'x'.repeat(100_000) })
    assert.deepEqual([outcome, reason.length], ['failed', 2_000])
    assert.deepEqual(await step({ step: 'fail', start: { ...start, checkpoint: 2 } }), {
      outcome: 'failed',
      reason: 'it was aborted',
    })
    await finish(world, mappings)
  })
})

describe('steps that run again, late, or beside each other', () => {
  test('each step twice: one decision, and every row once', async () => {
    const { world, mappings, behind, step } = await open()
    for (let n = 1; n <= 3; n++) {
      for (const m of mappings) await m.step(50)
      const start = await step<StartedCheckpoint>({ step: 'start' })
      assert.equal((await step<StartedCheckpoint>({ step: 'start' })).checkpoint, n)
      assert.deepEqual(await cutAll(world, start), [true, true])
      assert.deepEqual(await cutAll(world, start), [false, false], 'a cut of old is none (D3)')
      await drain(behind)
      const { parts } = await step({ step: 'collect', start })
      assert.deepEqual((await step({ step: 'collect', start })).parts, parts)
      await materialiseAll(world, start, parts)
      const materialised = await materialiseAll(world, start, parts)
      const complete = { step: 'complete', start, materialised }
      assert.deepEqual(await Promise.all([step(complete), step(complete)]), [{ outcome: 'complete' }, { outcome: 'complete' }])
      assert.deepEqual(await step(complete), { outcome: 'complete' })
      assert.deepEqual(await step({ step: 'fail', start, reason: 'too late' }), { outcome: 'complete' })
    }
    assert.deepEqual(await outcomes(world), ['complete', 'complete', 'complete'])
    await finish(world, mappings)
  })

  test('completing what was declared failed shows nothing and changes nothing (D6)', async () => {
    const { world, mappings, step } = await open()
    for (const m of mappings) await m.step(50)
    const start = await step<StartedCheckpoint>({ step: 'start' })
    await cutAll(world, start)
    await drain(mappings)
    const { parts } = await step({ step: 'collect', start })
    const materialised = await materialiseAll(world, start, parts)
    await step({ step: 'fail', start, reason: 'the state machine timed out' })
    assert.deepEqual(await step({ step: 'complete', start, materialised }), {
      outcome: 'failed',
      reason: 'the state machine timed out',
    })
    assert.deepEqual(await world.rows('pages'), [])
    await finish(world, mappings)
  })

  test('the decision fell, the sinks did not commit: the same step again does it', async () => {
    const opened = await open()
    const { world, step } = opened
    const { start, parts } = await acked(opened)
    const materialised = await materialiseAll(world, start, parts)
    const blobs: RangedBlobs = {
      ...world.ports.blobs,
      put: async (key, data) => {
        if (key.endsWith('.ndjson')) throw new Error('killed')
        return world.ports.blobs.put(key, data)
      },
    }
    const dying = withBlobs(world, blobs)
    const controller = checkpointHandler(environment(dying))
    await assert.rejects(controller({ step: 'complete', start, materialised }, context()), /killed/)
    assert.deepEqual(await outcomes(world), ['complete'])
    assert.deepEqual(await world.rows('pages'), [])
    assert.deepEqual(await step({ step: 'complete', start, materialised }), { outcome: 'complete' })
    assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
  })

  test('of a run whose place another one has taken are refused', async () => {
    const { world, mappings, step } = await open()
    await mappings[0]!.step(20)
    const start = await step<StartedCheckpoint>({ step: 'start' })
    await assert.rejects(step({ step: 'collect', start: { ...start, run: 'older' } }), /run older, but another run/)
    await assert.rejects(step({ step: 'guess', start }), /no step 'guess'/)
    await finish(world, mappings)
  })

  test('with parts that are missing, were not materialised, or are gone', async () => {
    const { world, mappings, step } = await open()
    await drain(mappings)
    const start = await step<StartedCheckpoint>({ step: 'start' })
    await assert.rejects(step({ step: 'complete', start, materialised: [] }), /can't be completed: .* did not ack/)
    const early = materialiseHandler(environment(world))
    const part = { stage: start.sources[0]!.stage, shard: 0, version: 1 }
    await assert.rejects(early({ start, part }, context()), /no part of checkpoint 1/)
    await assert.rejects(early({ start, part: { ...part, stage: 'no-such' } }, context()), /no part of checkpoint 1/)
    await cutAll(world, start)
    await drain(mappings)
    const { parts } = await step({ step: 'collect', start })
    const materialised = await materialiseAll(world, start, parts)
    await assert.rejects(step({ step: 'complete', start, materialised: materialised.slice(1) }), /was not materialised/)
    const gone = [...materialised.slice(1), { key: 'materialised/elsewhere' }]
    await assert.rejects(step({ step: 'complete', start, materialised: gone }), /materialised\/elsewhere is gone/)
    assert.deepEqual(await step({ step: 'complete', start, materialised }), { outcome: 'complete' })
    await finish(world, mappings)
  })
})

describe('a cut', () => {
  test('beside batches of its shard, by another environment: neither loses anything', async () => {
    const { world, mappings, behind, step } = await open()
    const [first, second] = mappings
    for (let n = 1; n <= 4; n++) {
      await first!.step(30)
      const start = await step<StartedCheckpoint>({ step: 'start' })
      await Promise.all([cutAll(world, start), first!.step(30), second!.step(30)])
      await drain(behind)
      const { parts } = await step({ step: 'collect', start })
      const materialised = await materialiseAll(world, start, parts)
      assert.deepEqual(await step({ step: 'complete', start, materialised }), { outcome: 'complete' })
    }
    await finish(world, mappings)
  })

  test('of a shard that has been silent for the idle time of its source lets the others go on', async () => {
    const app = visits(() => {}, '20ms')
    const world = await embeddedWorld(app, [input[0]!, []], 2)
    const mappings = deploy(world, world.topology)
    await mappings[0]!.step(1_000)
    await drain(mappings)
    const watermark = async () => {
      const log = world.topology.log(1, 0)
      return (await loadHead(world.ports.log, log, Number.POSITIVE_INFINITY)).head.fields.watermark
    }
    assert.equal(await watermark(), Number.NEGATIVE_INFINITY)
    await new Promise(resolve => setTimeout(resolve, 30))
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    await drain(mappings)
    assert.ok((await watermark()) > 0)
  })
})

describe('what was materialised', () => {
  test('is folded once it would fill a good part of what memory the functions of the stages have', async () => {
    const rows = async (memoryMb: number) => {
      const opened = await open()
      const { world } = opened
      const { start, parts } = await acked(opened)
      const small = { ...world, settings: { ...world.settings, memoryMb } }
      let upserted = 0
      const upsert: Ports['store']['upsert'] = items => {
        upserted += items.filter(({ pk }) => pk.startsWith(world.topology.run)).length
        return world.ports.store.upsert(items)
      }
      const ports = { ...world.ports, store: { ...world.ports.store, upsert } }
      const back: EmbeddedWorld['back'] = deadline => ({ ...world.back(deadline), ports })
      const materialise = materialiseHandler(environment({ ...small, back }))
      for (const part of parts) await materialise({ start, part }, context())
      return upserted
    }
    assert.equal(await rows(128), 0)
    assert.ok((await rows(0.1)) > 0)
  })

  test('goes with the next checkpoint where it has left nothing in the base, and else when nobody can need that any more', async () => {
    const { world, mappings, behind } = await open()
    const { blobs } = world.ports
    await mappings[0]!.step(20)
    await checkpoint(world, behind)
    const first = await blobs.list('materialised/')
    assert.equal(first.length, 4)
    assert.ok(first.every(key => key.endsWith('-nothing')))
    // A fold of the first one had deleted something.
    const log = world.topology.log(1, 0)
    const left = `materialised/${log}/1-${Date.now()}`
    const part = { from: 0, to: 1, items: 0, bytes: 0, tombstones: new Set(['gone']), runs: [], changes: [] }
    await blobs.put(left, pack({ log, part }))
    await world.ports.store.upsert([{ pk: 'gone', sk: 'v', v: 1, value: undefined }])
    await mappings[0]!.step(20)
    await checkpoint(world, behind)
    const second = await blobs.list('materialised/')
    assert.deepEqual(
      second.filter(key => first.includes(key) || key === left),
      [left],
    )
    const late = { ...world.ports.clock, now: () => Date.now() + 3_600_000 }
    const start = { run: world.topology.run, checkpoint: 2, startedAt: 0, previous: undefined }
    const version = await lastCut(world, log)
    const later = (deadline: () => number | undefined) => ({ ...world.back(deadline), ports: { ...world.ports, clock: late } })
    const again = { stage: world.topology.stages[1]!.stage.id, shard: 0, version }
    await materialiseHandler(environment(world, undefined, later))({ start, part: again }, context())
    assert.ok(!(await blobs.list('materialised/')).includes(left))
    assert.deepEqual(await world.ports.store.range('gone', '', '~', 10), [])
    await finish(world, mappings)
  })
})

/** The version of a log's last cut. */
async function lastCut({ ports, topology }: EmbeddedWorld, log: string): Promise<number> {
  const last = (await listManifests(ports.blobs, topology.run)).at(-1)!
  return (await readManifest(ports.blobs, topology.run, last)).subtasks.find(s => s.log === log)!.version
}

/** A world whose functions write blobs, also those of sinks, by others. */
function withBlobs(world: EmbeddedWorld, blobs: RangedBlobs): EmbeddedWorld {
  const back: EmbeddedWorld['back'] = deadline => {
    const backing = world.back(deadline)
    const sinks = Object.keys(backing.sinks).map(name => [name, blobSink(blobs, `results/${name}`, name)] as const)
    return { ...backing, ports: { ...backing.ports, blobs }, sinks: Object.fromEntries(sinks) }
  }
  return { ...world, back }
}
