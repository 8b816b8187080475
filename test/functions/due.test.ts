import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { lookHandler } from '../../runtime/aws/functions/look.ts'
import { tellStop } from '../../runtime/checkpoint/stops.ts'
import { boundedOutOfOrderness, ndjson, type Pipeline, pipeline, print } from '../../runtime/index.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { embeddedWorld } from './embedded-world.ts'
import { visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment } from './world.ts'

const START = 1_700_000_000_000
const visit = (id: number, seconds: number) => JSON.stringify({ id, user: 'u', page: 'p', at: START + seconds * 1000 })
const MINUTE_MS = 60_000

/** A pipeline whose clock is moved by hand, and a schedule that looks as often as it is told to. */
async function open(app: Pipeline, input: readonly (readonly string[])[]) {
  const opened = await embeddedWorld(app, input, input.length)
  let ahead = 0
  const clock = { ...opened.ports.clock, now: () => Date.now() + ahead }
  const ports = { ...opened.ports, clock }
  const world = { ...opened, ports, back: (d: () => number | undefined) => ({ ...opened.back(d), ports }) }
  const mappings = deploy(world, world.topology)
  let begun = 0
  const executions = { running: async () => false, start: async () => void begun++ }
  async function look(): Promise<string> {
    const before = begun
    const { looked } = await lookHandler(environment(world), executions)({ step: 'look', machine: 'm' }, context())
    assert.equal(begun - before, looked === 'begun' ? 1 : 0)
    return looked === 'begun' ? (await checkpoint(world, mappings, { scheduled: true })).outcome : looked
  }
  /** What the looks of an idle time find, up to the first that finds nothing. */
  async function untilNothing(): Promise<string[]> {
    const found: string[] = []
    for (let outcome = ''; outcome !== 'nothing'; found.push(outcome)) {
      assert.ok(found.length < 10, `it does not end: ${found}`)
      outcome = await look()
    }
    return found
  }
  const wait = (ms: number) => {
    ahead += ms
  }
  return { world, mappings, look, untilNothing, wait }
}

test('a silent split is told idle when its time is over, though nothing flows any more; then there is nothing again', async () => {
  const { world, mappings, look, untilNothing, wait } = await open(visits(undefined, '5m'), [
    [visit(0, 0), visit(1, 1), visit(2, 60)],
    [],
  ])
  await drain(mappings)
  await untilNothing()
  for (let minute = 1; minute < 5; minute++) {
    wait(MINUTE_MS)
    assert.equal(await look(), 'nothing')
  }
  assert.deepEqual(await world.rows('pages'), [])
  wait(MINUTE_MS)
  const found = await untilNothing()
  assert.ok(found.length > 1)
  // Both are silent by now, but what the other one had said stands.
  assert.deepEqual(
    (await world.rows('pages')).map(({ ids }) => ids),
    [[0, 1]],
  )
  for (let hour = 0; hour < 3; hour++) {
    wait(60 * MINUTE_MS)
    assert.equal(await look(), 'nothing')
  }
})

test('what is silent for longer than checkpoints are apart stays idle over all of them, until it has a record', async () => {
  const { world, mappings, look, wait } = await open(visits(undefined, '5m'), [[visit(0, 0)], []])
  const watermark = async () => (await loadHead(world.ports.log, world.topology.log(1, 0), Infinity)).head.fields.watermark
  await drain(mappings)
  for (let minute = 1; minute < 20; minute++) {
    wait(MINUTE_MS)
    await world.ports.streams.put('users-own', 0, Buffer.from(visit(minute, minute)))
    await drain(mappings)
    assert.equal(await look(), 'complete')
    assert.equal(await watermark(), minute < 5 ? -Infinity : START + minute * 1000 - 5_001)
  }
  await world.ports.streams.put('users-own', 1, Buffer.from(visit(20, 100)))
  await drain(mappings)
  await world.ports.streams.put('users-own', 0, Buffer.from(visit(21, 200)))
  await drain(mappings)
  await look()
  assert.equal(await watermark(), START + 100_000 - 5_001)
})

test('one that was stopped has been silent from its start on, and no checkpoint begins by itself before that', async () => {
  const { world, mappings, look, untilNothing, wait } = await open(visits(undefined, '5m'), [[visit(0, 0)], [visit(1, 60)]])
  const { run } = world.topology
  await drain(mappings)
  await untilNothing()
  await tellStop(world.ports, run, true)
  await tellStop(world.ports, run, true)
  wait(60 * MINUTE_MS)
  assert.equal(await look(), 'nothing')
  await world.ports.streams.put('users-own', 0, Buffer.from(visit(2, 61)))
  await mappings[0]!.step()
  assert.equal(await look(), 'nothing')
  assert.deepEqual(await checkpoint(world, [], { scheduled: true }), { outcome: 'nothing' })
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete', 'one that somebody asks for is taken')
  await tellStop(world.ports, run, false)
  await drain(mappings)
  await checkpoint(world, mappings)
  const idle = async () => (await loadHead(world.ports.log, world.topology.log(1, 0), Infinity)).head.fields.idle
  assert.deepEqual(await untilNothing(), ['nothing'])
  assert.deepEqual(await idle(), [])
  wait(5 * MINUTE_MS)
  await untilNothing()
  assert.deepEqual(await idle(), [0, 1])
})

test('a timer of processing time fires though no record comes any more, and what it gives becomes visible', async () => {
  const app = pipeline('timers')
  const seen = z.object({ id: z.number(), user: z.string(), at: z.number() })
  app
    .source('visits', ndjson(seen), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
    .keyBy('user')
    .process({
      state: {},
      onRecord(_, ctx): { fired: boolean }[] {
        ctx.timers.processing.set(Date.now() + 10 * MINUTE_MS)
        return []
      },
      onTimer: () => [{ fired: true }],
    })
    .sink('out', print())
  const { world, mappings, look, untilNothing, wait } = await open(app, [[visit(1, 0)]])
  await drain(mappings)
  await untilNothing()
  wait(9 * MINUTE_MS)
  assert.equal(await look(), 'nothing')
  wait(MINUTE_MS)
  await untilNothing()
  assert.deepEqual(await world.rows('out'), [{ fired: true }])
  wait(60 * MINUTE_MS)
  assert.equal(await look(), 'nothing')
})
