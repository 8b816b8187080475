import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
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
    assert.equal(Buffer.from(letter.raw, 'base64').toString(), bad[0])
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
