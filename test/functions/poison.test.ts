import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as z from 'zod'
import { checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { materialiseHandler, type PartRef } from '../../runtime/aws/functions/materialise.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { readManifest } from '../../runtime/checkpoint/manifest.ts'
import { boundedOutOfOrderness, ndjson, pipeline, print, value } from '../../runtime/index.ts'
import { goBack } from '../../runtime/sim/restored.ts'
import { expected, sorted } from './embedded-run.ts'
import { embeddedWorld } from './embedded-world.ts'
import { generate, type Visit, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment, eventOf, shardId } from './world.ts'

const quiet = (t: { mock: { method(o: object, m: string, fn: () => void): unknown } }) =>
  t.mock.method(console, 'error', () => {})
const clean = generate(300, 2)

/** Records on which user code throws, at these places of split 0. */
function poisoned(places: readonly number[]) {
  const bad = places.map(i =>
    JSON.stringify({ id: 10_000 + i, user: 'u0', page: 'poison', at: Number(JSON.parse(clean[0]![i]!).at) }),
  )
  const split = [...clean[0]!]
  for (const [i, place] of [...places.entries()].reverse()) split.splice(place, 0, bad[i]!)
  return { bad, input: [split, clean[1]!] }
}

function failing(on: (visit: Visit) => boolean) {
  const seen = new Map<number, number>()
  const app = visits(visit => {
    seen.set(visit.id, (seen.get(visit.id) ?? 0) + 1)
    if (on(visit)) throw new RangeError(`no page ${visit.page}`)
  })
  return { app, seen }
}

describe('a record on which user code throws each time', () => {
  test('goes to the dead letters, once, with its reason; all others as if it had not been there', async t => {
    quiet(t)
    const { bad, input } = poisoned([0, 17, 18, 80])
    const { app, seen } = failing(v => v.page === 'poison')
    const world = await embeddedWorld(app, input, 2)
    const mappings = deploy(world, world.topology)
    await drain(mappings, 60)
    await checkpoint(world, mappings)
    assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), clean, 2)).pages)
    const rejected = await world.rows('rejected')
    assert.deepEqual(rejected.map(r => r.raw).sort(), bad.toSorted())
    for (const { reason } of rejected) assert.match(reason, /3 tries failed: .*RangeError: no page poison/)
    for (const record of bad) assert.ok(seen.get(JSON.parse(record).id)! >= 3)
    const kept = await world.ports.blobs.list('dead-letters/visits/shardId-000000000000/')
    assert.equal(kept.length, 4)
    const letter = JSON.parse(new TextDecoder().decode(await world.ports.blobs.get(kept[0]!)))
    assert.equal(letter.raw, bad[0])
  })

  test('what is no JSON is text in a sink, and bytes to a function behind a shuffle', async () => {
    const { app, source } = byUser('broken')
    const letters = source.deadLetters()
    letters.sink('rejected', print())
    letters
      .keyBy('source')
      .process({ state: {}, onRecord: ({ raw }) => [{ raw, plain: Object.getPrototypeOf(raw) === Uint8Array.prototype }] })
      .sink('shuffled', print())
    const world = await embeddedWorld(app, [[...clean[0]!.slice(0, 5), '{bad json'], clean[1]!], 2)
    const mappings = deploy(world, world.topology)
    await drain(mappings)
    await checkpoint(world, mappings)
    assert.deepEqual(
      (await world.rows('rejected')).map(r => r.raw),
      ['{bad json'],
    )
    assert.deepEqual(await world.rows('shuffled'), [{ raw: '{bad json', plain: true }])
  })

  test('is isolated in the batch that it is in, also when that comes to two environments at once', async t => {
    quiet(t)
    const { bad, input } = poisoned([40])
    const { app } = failing(v => v.page === 'poison')
    const world = await embeddedWorld(app, input, 2)
    const stage = world.topology.stages[0]!.stage.id
    const event = eventOf(await world.poll('users-own', 0, undefined, 100), shardId(0))
    const answers = await Promise.all([1, 2].map(() => stageHandler(environment(world, stage))(event, context())))
    assert.deepEqual(answers, [{ batchItemFailures: [] }, { batchItemFailures: [] }])
    const mappings = deploy(world, world.topology)
    await drain(mappings)
    await checkpoint(world, mappings)
    assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), clean, 2)).pages)
    assert.deepEqual(
      (await world.rows('rejected')).map(r => r.raw),
      bad,
    )
  })

  test('only now and then is no poison: it is taken', async t => {
    quiet(t)
    let left = 5
    const { app } = failing(v => v.id % 7 === 0 && left-- > 0)
    const world = await embeddedWorld(app, clean, 2)
    const mappings = deploy(world, world.topology)
    await drain(mappings)
    await checkpoint(world, mappings)
    assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), clean, 2)).pages)
    assert.deepEqual(await world.rows('rejected'), [])
  })
})

/** Visits under their user: what follows is a stage behind the source's. */
function byUser(name: string) {
  const app = pipeline(name)
  const schema = z.object({ id: z.number(), user: z.string(), page: z.string(), at: z.number() })
  const source = app.source('visits', ndjson(schema), { time: v => v.at, watermark: boundedOutOfOrderness('5s') })
  return { app, source, keyed: source.keyBy('user') }
}

describe('a record of a later stage on which user code throws each time', () => {
  /** As visits(), but the stage behind the first keyBy does not take some of them. */
  function choosy(poison: (v: Visit) => boolean) {
    const seen = new Map<number, number>()
    const { app, keyed } = byUser('choosy')
    keyed
      .process({
        state: { n: value<number>() },
        onRecord(v, ctx) {
          const n = (ctx.state.n.get() ?? 0) + 1
          ctx.state.n.set(n)
          seen.set(v.id, (seen.get(v.id) ?? 0) + 1)
          if (poison(v)) throw new RangeError(`no visit ${v.id}`)
          return [{ id: v.id, user: v.user, n }]
        },
      })
      .sink('pages', print())
    return { app, seen }
  }
  const isPoison = (v: { id: number }) => v.id >= 0 && v.id % 41 === 0
  const without = clean.map(split => split.filter(r => !isPoison(JSON.parse(r))))

  for (const limit of [7, 300]) {
    test(`is left out and kept in the bucket; state and order of all others as if it had not been there (batches of ${limit})`, async t => {
      quiet(t)
      const { app, seen } = choosy(isPoison)
      const world = await embeddedWorld(app, clean, 2)
      const mappings = deploy(world, world.topology)
      await drain(mappings, limit)
      assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
      assert.deepEqual(sorted(await world.rows('pages')), (await expected(choosy(() => false).app, without, 2)).pages)
      const bad = clean
        .flat()
        .map(r => JSON.parse(r))
        .filter(isPoison)
      assert.ok(bad.length > 5)
      const stage = world.topology.stages[1]!.stage.id
      const kept = await world.ports.blobs.list(`dead-letters/${stage}/`)
      const letters = await Promise.all(
        kept.map(async key => JSON.parse(new TextDecoder().decode(await world.ports.blobs.get(key)))),
      )
      assert.deepEqual(
        letters.map(l => l.value.id).sort((a, b) => a - b),
        bad.map(v => v.id).sort((a, b) => a - b),
      )
      for (const { reason, value: v, key, timestamp } of letters) {
        assert.match(reason, new RegExp(`3 tries failed: .* under the key "${v.user}": .*RangeError: no visit ${v.id}`))
        assert.deepEqual([key, timestamp], [v.user, v.at])
      }
      for (const v of bad) assert.ok(seen.get(v.id)! >= 3)
    })
  }

  test('in two environments at once it is left out once', async t => {
    quiet(t)
    const { app } = choosy(isPoison)
    const world = await embeddedWorld(app, clean, 2)
    const [source, keyed] = world.topology.stages
    for (let shard = 0; shard < 2; shard++) {
      const all = eventOf(await world.poll('users-own', shard, undefined, 1000), shardId(shard))
      await stageHandler(environment(world, source!.stage.id))(all, context())
    }
    for (let shard = 0; shard < 2; shard++) {
      const frames = eventOf(await world.poll(world.topology.stream(1), shard, undefined, 1000), shardId(shard))
      const both = [1, 2].map(() => stageHandler(environment(world, keyed!.stage.id))(frames, context()))
      assert.deepEqual(await Promise.all(both), [{ batchItemFailures: [] }, { batchItemFailures: [] }])
    }
    const mappings = deploy(world, world.topology)
    await drain(mappings)
    await checkpoint(world, mappings)
    assert.deepEqual(sorted(await world.rows('pages')), (await expected(choosy(() => false).app, without, 2)).pages)
  })

  for (const split of [false, true])
    test(`that was on its way when a checkpoint was taken, is left out in a run that begins there${split ? ', though its shard is split before anything comes' : ''}`, async t => {
      quiet(t)
      const { app } = choosy(isPoison)
      const world = await embeddedWorld(app, clean, 2)
      const [first, second, ...behind] = deploy(world, world.topology)
      const controller = checkpointHandler(environment(world))
      const start = (await controller({ step: 'start' }, context()).then(async () => {
        await first!.step(20)
        return controller({ step: 'start' }, context())
      })) as StartedCheckpoint
      const cut = (shard: number) =>
        cutHandler(environment(world, start.sources[0]!.stage))({ shards: [shard], checkpoint: 1 }, context())
      await cut(0)
      for (const m of behind) await m.step(100)
      await second!.step(100)
      for (const m of behind) await m.step(100)
      await cut(1)
      for (const m of behind) await m.step(100)
      const { parts } = (await controller({ step: 'collect', start }, context())) as unknown as { parts: PartRef[] }
      const materialise = materialiseHandler(environment(world))
      const materialised = await Promise.all(parts.map(part => materialise({ start, part }, context())))
      await controller({ step: 'complete', start, materialised }, context())
      const { subtasks } = await readManifest(world.ports.blobs, world.topology.run, 1)
      assert.ok(subtasks.some(s => s.channelState.length > 0))
      await goBack({ ...world, plan: world.topology.plan }, 1)
      const { topology } = await environment(world).run()
      if (split) for (const shard of [0, 1]) world.between.split(topology.stream(1), shard)
      const mappings = deploy(world, topology, stream => world.between.shards(stream).length)
      await drain(mappings)
      assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
      assert.deepEqual(sorted(await world.rows('pages')), (await expected(choosy(() => false).app, without, 2)).pages)
      const kept = await world.ports.blobs.list(`dead-letters/${topology.stages[1]!.stage.id}/`)
      assert.ok(kept.some(key => key.includes('injected-')))
    })

  test('a timer on which user code throws is no record: the invocation fails by name, and nothing is lost', async t => {
    quiet(t)
    let broken = true
    const { app, keyed } = byUser('timers')
    keyed
      .process({
        state: { n: value<number>() },
        onRecord(v, ctx) {
          ctx.state.n.set((ctx.state.n.get() ?? 0) + 1)
          ctx.timers.event.set(v.at + 1000)
        },
        onTimer(at, ctx) {
          if (broken) throw new RangeError('not now')
          return [{ user: ctx.key, at, page: ctx.key.startsWith('end') ? 'end' : 'timer' }]
        },
      })
      .sink('pages', print())
    const world = await embeddedWorld(app, clean, 2)
    const mappings = deploy(world, world.topology)
    await assert.rejects(drain(mappings), /onTimer threw RangeError: not now/)
    broken = false
    await drain(mappings)
    await checkpoint(world, mappings)
    assert.deepEqual(sorted(await world.rows('pages')), (await expected(app, clean, 2)).pages)
  })
})
