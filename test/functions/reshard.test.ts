import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import type { SourceStreams } from '../../runtime/aws/functions/environment.ts'
import { readShardMap } from '../../runtime/aws/functions/shard-map.ts'
import { openSourceShards } from '../../runtime/aws/functions/source-shards.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { headsAt, isTakenOver } from '../../runtime/aws/functions/tend-shards.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { type Duration, fileSink, fileSource, type Pipeline } from '../../runtime/index.ts'
import { stagesOf } from '../../runtime/inspect/stages.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { sortedLines } from '../engine/events.ts'
import { expected, sorted } from './embedded-run.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { KEYS, openResharding, type Resharding, shardMapping } from './resharding.ts'
import { joinSources, restoreStack, stackWorld } from './restored.ts'
import { generate, type Visit, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment, eventOf, type Handler, shardId } from './world.ts'

const SPLITS = 2
const USERS = 11
/** In the order in which they come to the stream, and what ends it. */
const [all, end] = [generate(300, 1)[0]!.slice(0, -1), JSON.parse(generate(300, 1)[0]!.at(-1)!)]
const keyOf = (json: string) => Math.floor((Number(JSON.parse(json).user.slice(1)) * KEYS) / USERS)
const splitOf = (json: string) => Math.floor((keyOf(json) * SPLITS) / KEYS)
const ends = (n: number) => Array.from({ length: n }, (_, i) => JSON.stringify({ ...end, id: -1 - i, user: `end${i}` }))
const unsplit = Array.from({ length: SPLITS }, (_, i) => [...all.filter(json => splitOf(json) === i), ends(SPLITS)[i]!])
const embedded = (await expected(visits(), unsplit, SPLITS)).pages

async function open(shards = SPLITS, idleAfter?: Duration, onRecord?: (visit: Visit) => void) {
  return openOn(openResharding(shards), visits(onRecord, idleAfter))
}

/** A run that begins with the shards that there are. */
async function openOn(stream: Resharding, app: Pipeline, made?: EmbeddedWorld) {
  const none = stream.shards.map(() => [])
  const fresh = made ?? (await embeddedWorld(app, none, SPLITS))
  const world = { ...fresh, back: (d: () => number | undefined) => ({ ...fresh.back(d), sourceStreams: stream.source }) }
  const handler = () => stageHandler(environment(world, world.topology.stages[0]!.stage.id))
  const warm = handler()
  const source = shardMapping(stream, () => warm)
  const behind = deploy(world, world.topology)
  return { stream, world, handler, source, behind, mappings: [source, ...behind] }
}

/** That can go back to a checkpoint. */
async function openStack() {
  const stream = openResharding(SPLITS)
  const none = stream.shards.map(() => [])
  return openOn(stream, visits(), await stackWorld(none))
}

type Opened = Awaited<ReturnType<typeof open>>

const put = ({ stream }: Pick<Opened, 'stream'>, from: number, to: number) => {
  for (const json of all.slice(from, to)) stream.put(keyOf(json), json)
}

/** The end of a test: each open shard gets its last record, and the results are those of an embedded run of an unsplit stream. */
async function finish(opened: Opened): Promise<void> {
  await settle(opened)
  assert.deepEqual(sorted(await opened.world.rows('pages')), embedded)
}

async function settle({ stream, world, mappings }: Opened): Promise<void> {
  const shards = stream.open()
  for (const [i, json] of ends(shards.length).entries()) stream.put(shards[i]!.from, json)
  await drain(mappings)
  // What is idle is told by one checkpoint, and what that sets off is of the next.
  for (let i = 0; (await checkpoint(world, mappings)).outcome !== 'nothing'; i++) assert.ok(i < 5)
  const stages = await stagesOf(world.ports.log, (await readRun(world.ports))!)
  assert.deepEqual(
    stages.map(({ counts }) => counts.late),
    [0, 0, 0],
  )
}

const headOf = async ({ topology, ports }: EmbeddedWorld, subtask: number, stage = 0) =>
  (await loadHead(ports.log, topology.log(stage, subtask), Number.POSITIVE_INFINITY)).head

const positionOf = async (world: EmbeddedWorld, subtask: number) => (await headOf(world, subtask)).fields.source!

describe('a shard of a source that is split', () => {
  test('goes on in its children, in the subtask that it was of; results are those of a stream that was not split', async () => {
    const opened = await open()
    const { stream, world, source, mappings } = opened
    put(opened, 0, 100)
    await drain(mappings, 20)
    const single = await positionOf(world, 0)
    assert.deepEqual(Object.keys(single), ['sequenceNumber'])
    const [a, b] = stream.split(stream.open()[0]!)
    put(opened, 100, 200)
    await drain(mappings, 20)
    const position = await positionOf(world, 0)
    assert.deepEqual(Object.keys(position).sort(), [shardId(0), a!.id, b!.id])
    assert.equal(position[shardId(0)], 'ended')
    assert.deepEqual(Object.keys(await positionOf(world, 1)), ['sequenceNumber'], 'the other subtask knows nothing of it')
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    // And grandchildren.
    stream.split(a!)
    put(opened, 200, 300)
    while (await source.step(7));
    await finish(opened)
  })

  test('is delivered again, whole and in part, warm and cold, while its children are read: nothing of it is taken twice', async () => {
    const opened = await open()
    const { stream, world, source, handler, mappings } = opened
    const [parent] = stream.open()
    put(opened, 0, 150)
    await drain(mappings, 30)
    stream.split(parent!)
    put(opened, 150, 300)
    const before = (await headOf(world, 0)).fields.counts.recordsIn
    const [cold] = [shardMapping(stream, handler)]
    assert.equal(await source.again(parent!, 0, 1_000), parent!.records.length)
    assert.equal((await headOf(world, 0)).fields.counts.recordsIn, before)
    while (await source.step(10)) {
      assert.equal(await source.again(parent!, 0, 1_000), parent!.records.length)
      assert.equal(await cold.again(parent!, 40, 5), 5)
    }
    const shards = stream.shards.filter(({ parents }) => parents.includes(parent!.id))
    for (const shard of shards) assert.equal(await cold.again(shard, 0, 1_000), shard.records.length)
    await finish(opened)
  })

  test('while nothing flows: a look finds it, its subtask hears of it, and then there is nothing again', async () => {
    const opened = await open()
    const { stream, world, mappings } = opened
    put(opened, 0, 100)
    await drain(mappings)
    for (let i = 0; (await checkpoint(world, mappings)).outcome !== 'nothing'; i++) assert.ok(i < 5)
    const [parent] = stream.open()
    stream.split(parent!)
    assert.equal((await checkpoint(world, mappings, { scheduled: true })).outcome, 'complete')
    assert.equal((await positionOf(world, 0))[parent!.id], 'ended')
    for (let i = 0; (await checkpoint(world, mappings, { scheduled: true })).outcome !== 'nothing'; i++) assert.ok(i < 5)
    put(opened, 100, 300)
    await finish(opened)
  })

  test('and children of which all are silent: the watermark is that of the one that is furthest', async () => {
    const opened = await open(1, '50ms')
    const { stream, world, source, mappings } = opened
    put(opened, 0, 100)
    await drain([source])
    const [heard] = stream.split(stream.open()[0]!)
    for (const json of all.slice(100)) stream.put(heard!.from, json)
    await drain([source], 1_000)
    await new Promise(resolve => setTimeout(resolve, 60))
    for (let i = 0; (await checkpoint(world, mappings, { scheduled: true })).outcome !== 'nothing'; i++) assert.ok(i < 5)
    const { source: position, watermark } = (await headOf(world, 0)).fields
    const map = readShardMap(position, shardId(0), watermark, 0)
    assert.equal(watermark, Math.max(...[...map.values()].map(state => (state === 'ended' ? 0 : state.watermark))))
  })

  test('has silent children: they hold the watermark back as a silent split does, and no longer than idleAfter says', async () => {
    for (const idleAfter of [undefined, '20ms'] as const) {
      const opened = await open(1, idleAfter)
      const { stream, world, source } = opened
      put(opened, 0, 100)
      await drain([source])
      const [a] = stream.split(stream.open()[0]!)
      for (const json of all.slice(100).filter(j => keyOf(j) < a!.to)) stream.put(0, json)
      await source.step(20)
      const { watermark } = (await headOf(world, 0)).fields
      if (idleAfter !== undefined) await new Promise(resolve => setTimeout(resolve, 30))
      await drain([source])
      assert.equal((await headOf(world, 0)).fields.watermark > watermark, idleAfter !== undefined)
    }
  })
})

describe('shards of a source that are merged', () => {
  test('an end that was not found before traffic stopped has a scheduled checkpoint of its own, once it is there to be found', async () => {
    const opened = await open()
    const { stream, mappings, world } = opened
    put(opened, 0, 200)
    await drain(mappings)
    stream.merge(stream.open()[0]!, stream.open()[1]!)
    put(opened, 200, 300)
    await drain(mappings)
    const slow = { ...stream.source, isReadToEnd: async () => false }
    const early = { ...world, back: (d: () => number | undefined) => ({ ...world.back(d), sourceStreams: slow }) }
    for (let i = 0; (await checkpoint(early, mappings)).outcome !== 'nothing'; i++) assert.ok(i < 5)
    const idle = async () => (await headOf(world, 0, 1)).fields.idle
    assert.deepEqual(await idle(), [])
    const outcomes: string[] = []
    for (let outcome = ''; outcome !== 'nothing'; outcomes.push(outcome)) {
      assert.ok(outcomes.length < 5)
      ;({ outcome } = await checkpoint(world, mappings, { scheduled: true }))
    }
    assert.ok(outcomes.length > 1)
    assert.deepEqual(await idle(), [1])
    await finish(opened)
  })

  test('of two subtasks: the lower one goes on, and the other holds no watermark back', async () => {
    const opened = await open()
    const { stream, world, source, mappings } = opened
    put(opened, 0, 150)
    await drain(mappings, 20)
    const merged = stream.merge(stream.open()[0]!, stream.open()[1]!)
    put(opened, 150, 300)
    while (await source.step(20));
    assert.deepEqual(Object.keys(await positionOf(world, 0)).sort(), [shardId(0), merged.id])
    await finish(opened)
    assert.deepEqual(await positionOf(world, 1), { [shardId(1)]: 'ended' })
    // What `status` says does not count it either.
    const [source0] = await stagesOf(world.ports.log, (await readRun(world.ports))!)
    assert.equal(source0!.watermark, (await headOf(world, 0)).fields.watermark)
  })

  test('of two subtasks, and then split: an heir that is silent for longer than idleAfter keeps nobody waiting', async () => {
    const opened = await open(SPLITS, '50ms')
    const { stream, world, source } = opened
    put(opened, 0, 100)
    while (await source.step(20));
    const merged = stream.merge(stream.open()[0]!, stream.open()[1]!)
    put(opened, 100, 150)
    while (await source.step(20));
    const [heard] = stream.split(merged)
    stream.put(heard!.from, all[150]!)
    while (await source.step(20));
    await new Promise(resolve => setTimeout(resolve, 60))
    for (const json of all.slice(151)) stream.put(heard!.from, json)
    while (await source.step(20));
    const at = world.topology.stages[0]!
    const shards = openSourceShards(environment(world, at.stage.id), world.topology, at)
    assert.equal(
      await isTakenOver({ shard: 1 }, shards, await shards.list(), headsAt(environment(world), world.topology, at)),
      true,
    )
  })

  test('of which one was far behind the other: nothing of it is late (its own watermark stands until the merged shard has caught up)', async () => {
    const opened = await open()
    const { stream, world, source, behind, mappings } = opened
    const [p, q] = stream.open()
    // The first is a whole run ahead of the second: what the merged shard has of the second's keys begins far behind.
    const [low, high] = [0, 1].map(i => all.filter(json => splitOf(json) === i))
    for (const json of [...low!, ...high!.slice(0, 10)]) stream.put(keyOf(json), json)
    await drain(mappings, 40)
    stream.merge(p!, q!)
    for (const json of high!.slice(10, 40)) stream.put(keyOf(json), json)
    while (await source.step(10));
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    const w = async (subtask: number) => (await headOf(world, subtask)).fields.watermark
    assert.ok((await w(0)) > (await w(1)))
    assert.equal((await headOf(world, 0, 1)).fields.watermark, await w(1), 'it has ended, and still counts')
    for (const json of high!.slice(40)) stream.put(keyOf(json), json)
    await drain(behind)
    await finish(opened)
  })

  test('of which one was far behind: a checkpoint in which the merged shard has not caught up does not leave its own subtask out, though it has by the time of that cut', async () => {
    const opened = await openStack()
    const { stream, world, source, mappings } = opened
    const [p, q] = stream.open()
    const [low, high] = [0, 1].map(i => all.filter(json => splitOf(json) === i))
    for (const json of [...low!, ...high!.slice(0, 10)]) stream.put(keyOf(json), json)
    await drain(mappings, 40)
    stream.merge(p!, q!)
    const outcome = await checkpoint(world, mappings, {
      async behindCut(subtask) {
        if (subtask !== 0) return
        for (const json of high!.slice(10)) stream.put(keyOf(json), json)
        stream.put(0, ends(1)[0]!)
        while (await source.step(10));
        const { topology } = world
        const at = topology.stages[0]!
        const shards = openSourceShards(environment(world, at.stage.id), topology, at)
        assert.ok(
          await isTakenOver({ shard: 1 }, shards, await shards.list(), headsAt(environment(world), topology, at)),
          'by now',
        )
      },
    })
    assert.equal(outcome.outcome, 'complete')
    await restoreStack(world, { checkpoint: 1 })
    await joinSources(world, (await environment(world).run()).topology)
    await finish(opened)
  })

  test('of which one was behind, beside a shard of the same subtask that was not: nothing of it is late', async () => {
    const opened = await open()
    const { stream, world, source, mappings } = opened
    const [p, q] = stream.open()
    const [c, d] = stream.split(q!)
    const within = (shard: typeof c) => all.filter(json => shard!.from <= keyOf(json) && keyOf(json) < shard!.to)
    // All of the first subtask's, and of one of the second's two; the other one is far behind, and is merged with the first's.
    const slow = within(c)
    for (const json of [...within(p), ...within(d), ...slow.slice(0, 10)]) stream.put(keyOf(json), json)
    await drain(mappings, 40)
    stream.merge(p!, c!)
    for (const json of slow.slice(10, 20)) stream.put(keyOf(json), json)
    while (await source.step(10));
    for (let i = 0; i < 2; i++) assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    await drain(mappings)
    for (const json of slow.slice(20)) stream.put(keyOf(json), json)
    await finish(opened)
  })
})

describe('a subtask whose shards are closed', () => {
  test('counts as long as there is a record that it has not taken', async () => {
    const opened = await open()
    const { stream, world, source, behind, mappings } = opened
    const [p, q] = stream.open()
    put(opened, 0, 200)
    // All of the first, and half of the second.
    await source.stepOf(p!, 1_000)
    await source.stepOf(q!, Math.floor(q!.records.length / 2))
    const merged = stream.merge(p!, q!)
    put(opened, 200, 300)
    // Out of order, as Lambda does not deliver it.
    await source.stepOf(merged, 1_000)
    assert.equal((await checkpoint(world, behind)).outcome, 'complete')
    const half = (await headOf(world, 1)).fields.watermark
    assert.equal((await headOf(world, 0, 1)).fields.watermark, half)
    assert.notEqual((await positionOf(world, 1))[q!.id], 'ended')
    await drain(mappings)
    // Users of the second were taken out of order, so that their visits have other numbers; but all were taken once, and none was late.
    await settle(opened)
    assert.deepEqual(idsOf(await world.rows('pages')), idsOf(embedded.map(row => JSON.parse(row))))
  })

  test('and whose ends nobody can tell counts on; the checkpoint is taken all the same, and it is said why', async t => {
    const refused = async () => {
      throw new Error('the key is not ours')
    }
    const hanging = () => new Promise<never>(() => {})
    const broken: [Partial<SourceStreams>, RegExp][] = [
      [
        { isReadToEnd: refused },
        /^Not known yet is whether shardId-0{11}[01] of stream users-own is read to its end.* the key is not ours$/,
      ],
      [{ isReadToEnd: hanging }, /^Not known yet is whether shardId-0{11}[01] of .* there was no time to find out/],
      [{ listShards: refused }, /^What has become of the shards of .* is not known, and windows may wait: the key is not ours$/],
      [{ listShards: hanging }, /is not known, and windows may wait: there was no time/],
    ]
    const opened = await open()
    const { stream, world, mappings } = opened
    put(opened, 0, 150)
    await drain(mappings)
    const merged = stream.merge(stream.open()[0]!, stream.open()[1]!)
    const stage = world.topology.stages[0]!.stage.id
    for (const [i, [fault, said]] of broken.entries()) {
      const warned = t.mock.method(console, 'warn', () => {})
      const back = (d: () => number | undefined) => ({ ...world.back(d), sourceStreams: { ...stream.source, ...fault } })
      const cut = cutHandler(environment(world, stage, back))
      assert.deepEqual(await cut({ shards: [1], checkpoint: i + 1 }, context(2_000)), { cut: [true] })
      assert.equal((await headOf(world, 1)).fields.lastCut, i + 1)
      const messages = warned.mock.calls.map(({ arguments: [line] }) => JSON.parse(line).message)
      assert.ok(messages.length > 0 && messages.every(message => said.test(message)), messages.join())
      warned.mock.restore()
    }
    assert.deepEqual(
      Object.values(await positionOf(world, 1)).filter(state => state === 'ended'),
      [],
    )
    // Nor are the merged shard's records held up.
    put(opened, 150, 300)
    t.mock.method(console, 'warn', () => {})
    t.mock.method(stream.source, 'isReadToEnd', refused)
    while (await opened.source.step(1_000));
    assert.equal(opened.source.through(merged), merged.records.length)
    t.mock.restoreAll()
    await cutHandler(environment(world, stage))({ shards: [1], checkpoint: 9 }, context())
    assert.deepEqual(await positionOf(world, 1), { [shardId(1)]: 'ended' })
  })

  test('is asked about before its cut is begun: what is committed meanwhile costs one more try, and not another look', async t => {
    const opened = await open(1)
    const { stream, world, source, mappings } = opened
    put(opened, 0, 100)
    await drain(mappings)
    const [a] = stream.split(stream.open()[0]!)
    put(opened, 100, 200)
    const { isReadToEnd } = stream.source
    // The function of the stage does not find it out: then there would be nothing left to look for.
    t.mock.method(stream.source, 'isReadToEnd', async () => false)
    let looks = 0
    const sourceStreams: SourceStreams = {
      ...stream.source,
      // As often as it looks, as often a batch is committed.
      async isReadToEnd(...args) {
        looks++
        assert.ok(await source.stepOf(a!, 1))
        return isReadToEnd(...args)
      },
    }
    const back = (d: () => number | undefined) => ({ ...world.back(d), sourceStreams })
    const cut = cutHandler(environment(world, world.topology.stages[0]!.stage.id, back))
    assert.deepEqual(await cut({ shards: [0], checkpoint: 1 }, context()), { cut: [true] })
    assert.equal(looks, 1)
    assert.equal((await positionOf(world, 0))[shardId(0)], 'ended')
  })

  test('is told to be idle at each checkpoint, and the others go on between two of them', async () => {
    const opened = await open()
    const { stream, world, mappings } = opened
    put(opened, 0, 100)
    await drain(mappings)
    stream.merge(stream.open()[0]!, stream.open()[1]!)
    put(opened, 100, 200)
    await drain(mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    for (let from = 200; from < 300; from += 50) {
      put(opened, from, from + 50)
      await drain(mappings)
      const { watermark } = (await headOf(world, 0)).fields
      assert.equal((await headOf(world, 1, 1)).fields.watermark, watermark)
    }
    await finish(opened)
  })
})

describe('who takes a shard', () => {
  test('is decided once, also by environments that race, and stays when its parents are forgotten', async () => {
    const opened = await open()
    const { stream, world, handler, mappings } = opened
    put(opened, 0, 100)
    await drain(mappings, 30)
    const [, q] = stream.open()
    const [a, b] = stream.split(q!)
    put(opened, 100, 200)
    // Environments that have not seen it yet, at the same time, each with another child.
    const environments = [handler(), handler(), handler(), handler()]
    const batches = [a!, b!, a!, b!].map(({ id, records }) => eventOf(records.slice(0, 5), id))
    const answers = await Promise.all(batches.map((batch, i) => environments[i]!(batch, context())))
    for (const answer of answers) assert.deepEqual(answer, { batchItemFailures: [] })
    assert.deepEqual(Object.keys(await positionOf(world, 1)).sort(), [q!.id, a!.id, b!.id])
    const slots = await world.ports.log.range(`${world.topology.run}/sources/visits/shards`, 1, 10)
    assert.equal(slots.length, 1)
    // Nobody who comes later can tell from the list any more whose children they are.
    stream.forget(q!)
    const { parents } = (await stream.source.listShards('')).find(({ id }) => id === a!.id)!
    assert.deepEqual(parents, [q!.id])
    const late = handler()
    assert.deepEqual(await late(eventOf(a!.records, a!.id), context()), { batchItemFailures: [] })
    put(opened, 200, 300)
    await finish(opened)
    assert.ok(!(q!.id in (await positionOf(world, 1))), 'what is forgotten leaves the position')
  })

  test('a shard whose ancestors went before anybody saw them has a subtask all the same, for good', async () => {
    const opened = await open()
    const { stream, world, handler, mappings } = opened
    put(opened, 0, 100)
    await drain(mappings)
    const [p] = stream.open()
    const [a] = stream.split(p!)
    const [c] = stream.split(a!)
    for (const shard of [p!, a!]) stream.forget(shard)
    put(opened, 100, 200)
    await drain(mappings)
    const taken = await Promise.all([0, 1].map(async i => c!.id in (await positionOf(world, i))))
    assert.equal(taken.filter(Boolean).length, 1)
    assert.deepEqual(await handler()(eventOf(c!.records, c!.id), context()), { batchItemFailures: [] })
    put(opened, 200, 300)
    await finish(opened)
  })

  test('a batch of a shard that the stream does not list is taken by nobody, and comes again', async t => {
    quiet(t)
    const opened = await open()
    const { world, handler } = opened
    const record = { seq: '1', data: Buffer.from(all[0]!), arrivedAt: 0 }
    await assert.rejects(handler()(eventOf([record], shardId(7)), context()), {
      name: 'UnknownShardError',
      retryable: true,
      message: /shardId-000000000007, which stream users-own of source 'visits' does not list/,
    })
    assert.equal((await headOf(world, 0)).version, 0)
    put(opened, 0, 300)
    await finish(opened)
  })
})

describe('a run that began with several generations', () => {
  test('has a subtask for each; those of closed ones hold nothing back when they are read', async () => {
    const stream = openResharding(1)
    const before = { stream }
    put(before, 0, 100)
    stream.split(stream.open()[0]!)
    put(before, 100, 200)
    const opened = await openOn(stream, visits())
    assert.equal(opened.world.topology.splits.visits!.length, 3)
    await drain(opened.mappings)
    put(opened, 200, 300)
    await finish(opened)
  })
})

test('a checkpoint of a stream that was split is gone on from in the embedded engine, with as many files as there were splits', async () => {
  const opened = await open()
  const { stream, world, source, mappings } = opened
  put(opened, 0, 100)
  await drain(mappings, 30)
  const [a, b] = stream.split(stream.open()[0]!)
  put(opened, 100, 200)
  await source.stepOf(a!, 12)
  await source.stepOf(b!, 3)
  assert.equal((await checkpoint(world, opened.behind)).outcome, 'complete')
  const before = await world.rows('pages')
  // What was taken by then: of each shard a beginning.
  const taken = new Set(
    stream.shards.flatMap(s => s.records.slice(0, source.through(s)).map(r => Buffer.from(r.data).toString())),
  )
  assert.ok(taken.size > 100 && taken.size < 200)
  const dir = mkdtempSync(join(tmpdir(), 'millrace-reshard-'))
  const paths = unsplit.map((records, i) => {
    const path = join(dir, `${i}.ndjson`)
    const left = records.filter(json => !taken.has(json))
    writeFileSync(path, left.map(json => `${json}\n`).join(''))
    return path
  })
  await runEmbedded(visits().graph(), {
    parallelism: SPLITS,
    state: join(dir, 'state'),
    from: { store: { name: 'the stack', open: async () => ({ ...world.ports, close: async () => {} }) } },
    sources: { visits: fileSource(paths) },
    sinks: { pages: fileSink(join(dir, 'pages')), rejected: fileSink(join(dir, 'rejected')) },
  })
  const rows = sortedLines(join(dir, 'pages')).map(line => JSON.parse(line))
  assert.deepEqual(sorted([...before, ...rows]), embedded)
})

/** A list of shards that for a moment is that of earlier. */
function lateList({ stream, world }: Opened, before: Awaited<ReturnType<SourceStreams['listShards']>>) {
  const until = Date.now() + 400
  const listShards: SourceStreams['listShards'] = async name => (Date.now() < until ? before : stream.source.listShards(name))
  return (deadline: () => number | undefined) => ({ ...world.back(deadline), sourceStreams: { ...stream.source, listShards } })
}

describe('a stack that goes back', () => {
  test('to a checkpoint that stands in children reads on in them, and in what came of them since', async () => {
    const opened = await openStack()
    const { stream, world, mappings } = opened
    put(opened, 0, 80)
    const [low, high] = stream.split(stream.shards[0]!)
    put(opened, 80, 110)
    await drain(mappings)
    const [left] = stream.split(high!)
    put(opened, 110, 140)
    await drain(mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    // Nobody can tell any more whose the grandchildren are, but for the positions in them.
    for (const gone of [stream.shards[0]!, high!]) stream.forget(gone)
    put(opened, 140, 180)
    stream.split(left!)
    const merged = stream.merge(low!, stream.shards[1]!)
    put(opened, 180, 240)
    await drain(mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    assert.ok(merged.records.length > 0)
    await restoreStack(world, { checkpoint: 1 })
    const { topology } = await environment(world).run()
    await joinSources(world, topology)
    put(opened, 240, all.length)
    await finish(opened)
  })

  test('reads on in what came since, though the list of shards is late and its mapping has passed what was there first (seed 46844)', async () => {
    const opened = await openStack()
    const { stream, world, mappings } = opened
    put(opened, 0, 80)
    await drain(mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    const before = await stream.source.listShards('')
    stream.merge(stream.shards[0]!, stream.shards[1]!)
    put(opened, 80, 160)
    await drain(mappings)
    // Also by way of a run that has not read on when another takes its place.
    for (let times = 0; times < 2; times++) await restoreStack(world, { checkpoint: 1 })
    const { topology } = await environment(world).run()
    await joinSources({ ...world, back: lateList(opened, before) }, topology)
    put(opened, 160, all.length)
    await finish(opened)
  })

  test('to a checkpoint that stands in a shard which a late list lacks is not refused for that', async () => {
    const opened = await openStack()
    const { stream, world, mappings } = opened
    const before = await stream.source.listShards('')
    put(opened, 0, 80)
    stream.split(stream.shards[0]!)
    put(opened, 80, 160)
    await drain(mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    await restoreStack(world, { checkpoint: 1 }, { back: lateList(opened, before) })
    await joinSources(world, (await environment(world).run()).topology)
    put(opened, 160, all.length)
    await finish(opened)
  })

  test('to a checkpoint whose shards are kept no longer is refused', async () => {
    const opened = await openStack()
    const { stream } = opened
    put(opened, 0, 80)
    await drain(opened.mappings)
    await checkpoint(opened.world, opened.mappings)
    stream.split(stream.shards[0]!)
    stream.forget(stream.shards[0]!)
    await assert.rejects(restoreStack(opened.world, { checkpoint: 1 }), {
      name: 'PositionError',
      message: /^checkpoint 1 stands in shardId-000000000000 of stream users-own, which does not list it/,
    })
  })
})

describe('a record of a child', () => {
  test('that user code fails on is kept under its shard, and named by it', async t => {
    quiet(t)
    const opened = await open(SPLITS, undefined, ({ page }) => {
      if (page === 'poison') throw new RangeError('no such page')
    })
    const { stream, world, mappings } = opened
    put(opened, 0, 100)
    await drain(mappings)
    const [a] = stream.split(stream.open()[0]!)
    const poison = JSON.stringify({ ...JSON.parse(all[100]!), id: 9_999, user: 'u0', page: 'poison' })
    stream.put(0, poison)
    stream.put(0, 'no JSON')
    put(opened, 100, 300)
    await finish(opened)
    const [key] = await world.ports.blobs.list('dead-letters/')
    assert.equal(key, `dead-letters/visits/${shardId(0)}/${a!.id}-${a!.records[0]!.seq}.json`)
    const letter = JSON.parse(new TextDecoder().decode(await world.ports.blobs.get(key!)))
    assert.deepEqual([letter.split, letter.shard, letter.sequenceNumber], [shardId(0), a!.id, '1'])
    assert.deepEqual(
      (await world.rows('rejected')).map(r => r.raw),
      [poison, 'no JSON'],
    )
  })
})

describe('whatever becomes of the shards', () => {
  interface Step {
    readonly do: string
    readonly at: number
    readonly size: number
  }
  const weights = { put: 4, deliver: 6, again: 1, split: 1, merge: 1, forget: 1, checkpoint: 1, cold: 1, race: 1 }
  const schedule: fc.Arbitrary<Step[]> = fc.array(
    fc.record({
      do: fc.oneof(...Object.entries(weights).map(([what, weight]) => ({ weight, arbitrary: fc.constant(what) }))),
      at: fc.nat(1_000),
      size: fc.integer({ min: 1, max: 40 }),
    }),
    { minLength: 20, maxLength: 60 },
  )

  async function run(steps: readonly Step[], anyOrder: boolean): Promise<Opened> {
    const opened = await open()
    const { stream, world, handler, behind } = opened
    let environments = [handler()]
    const racing: Handler = async (event, c) => {
      const answers = await Promise.all(environments.map(one => one(event, c)))
      return answers.find(({ batchItemFailures }) => batchItemFailures.length > 0) ?? answers[0]!
    }
    const source = shardMapping(stream, () => racing, anyOrder)
    const mappings = [source, ...behind]
    let fed = 0
    const pick = <T>(from: readonly T[], at: number) => from[at % from.length]
    const doing: Record<string, (at: number, size: number) => Promise<unknown>> = {
      async put(_, size) {
        put(opened, fed, fed + size)
        fed += size
      },
      async deliver(at, size) {
        const shard = pick(source.ready(), at)
        if (shard !== undefined) await source.stepOf(shard, size)
      },
      async again(at, size) {
        const shard = pick(
          stream.shards.filter(s => !s.forgotten && source.through(s) > 0),
          at,
        )
        if (shard === undefined) return
        const from = at % source.through(shard)
        await source.again(shard, from, Math.min(size, source.through(shard) - from))
      },
      async checkpoint() {
        assert.match((await checkpoint(world, behind)).outcome, /complete|nothing/)
      },
      async cold() {
        environments = [handler()]
      },
      async race() {
        environments = [handler(), environments[0]!]
      },
    }
    for (const { do: what, at, size } of steps) await (doing[what]?.(at, size) ?? reshard(stream, source, what, at))
    put(opened, fed, all.length)
    return { ...opened, source, mappings }
  }

  function reshard(stream: Resharding, source: ReturnType<typeof shardMapping>, what: string, at: number): void {
    const shards = stream.open().toSorted((x, y) => x.from - y.from)
    const shard = shards[at % shards.length]!
    if (what === 'split' && shard.to - shard.from > 4) stream.split(shard)
    if (what === 'merge' && shards.length > 1) {
      const i = at % (shards.length - 1)
      stream.merge(shards[i]!, shards[i + 1]!)
    }
    // Retention: of a closed shard, when all of it has been delivered, and none before those that it came of, which were closed before it.
    if (what === 'forget') {
      const isGone = (id: string) => stream.shards.some(s => s.id === id && s.forgotten)
      const old = stream.shards.find(
        s => s.closed && !s.forgotten && s.parents.every(isGone) && source.through(s) === s.records.length,
      )
      if (old !== undefined) stream.forget(old)
    }
  }

  test('parents before their children: the results are those of a stream that nobody split, record for record', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async steps => {
        const opened = await run(steps, false)
        await finish(opened)
      }),
      { numRuns: Number(process.env.RUNS ?? 15) },
    )
  })

  test('in any order: each record is in its window, once, and none is late', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async steps => {
        const opened = await run(steps, true)
        await settle(opened)
        assert.deepEqual(idsOf(await opened.world.rows('pages')), idsOf(embedded.map(row => JSON.parse(row))))
      }),
      { numRuns: Number(process.env.RUNS ?? 15) },
    )
  })
})

/** A user's visits are counted in the order in which they come. Without that. */
function idsOf(rows: readonly any[]): string[] {
  return sorted(rows.map(({ page, start, ids }) => ({ page, start, ids })))
}

function quiet(t: TestContext): void {
  for (const level of ['warn', 'error'] as const) t.mock.method(console, level, () => {})
}
