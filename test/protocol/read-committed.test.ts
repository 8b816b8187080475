import assert from 'node:assert/strict'
import test from 'node:test'
import { materialise } from '../../runtime/checkpoint/materialise.ts'
import type { Ports } from '../../runtime/ports.ts'
import { GapError, LostRaceError } from '../../runtime/protocol/errors.ts'
import { help } from '../../runtime/protocol/help.ts'
import { decodeItem } from '../../runtime/protocol/item.ts'
import { batch, faulty, type Harness, harness, Lost } from '../engine/harness.ts'
import { entries, totals, totalsOf } from '../engine/ledger.ts'

const INPUT = entries(20)

const dyingAtCommit = (ports: Ports) =>
  faulty(ports, ({ name, when }) => {
    if (name === 'log.putIfAbsent' && when === 'before') throw new Lost()
  })

/** Frames go out, the slot stays empty: an environment that died just before its commit. */
async function dieBeforeCommit(h: Harness, from: number, to: number, shard = 0): Promise<void> {
  await assert.rejects(
    h.environment(0, shard, { ports: dyingAtCommit(h.ports) }).deliverSource(() => batch(INPUT, from, to)),
    Lost,
  )
}

const stream = (h: Harness) => h.ports.streams.poll(h.topology.stream(1), 0, undefined, 100)

test('B1, B(3): frames that arrive again are dropped', async () => {
  const h = await harness(totals())
  const source = h.environment(0)
  for (let i = 0; i < 20; i += 5) {
    await source.deliverSource(() => batch(INPUT, i, i + 5))
    for (const frame of await stream(h)) await h.ports.streams.put(h.topology.stream(1), 0, frame.data)
  }
  const sink = h.environment(1)
  await h.deliver(sink)
  for (const frame of await stream(h)) await h.ports.streams.put(h.topology.stream(1), 0, frame.data)
  await h.deliver(sink)
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('B(6): frames of an attempt that lost are dropped', async () => {
  const h = await harness(totals())
  await dieBeforeCommit(h, 0, 20)
  await dieBeforeCommit(h, 0, 8)
  const source = h.environment(0)
  await source.deliverSource(() => batch(INPUT, 0, 10))
  await dieBeforeCommit(h, 10, 12)
  await source.deliverSource(() => batch(INPUT, 10, 20))
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('B(1): frames of another run are dropped', async () => {
  const h = await harness(totals())
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 20))
  const other = await harness(totals())
  Object.assign(other.topology, { run: 'other' })
  await other.environment(0).deliverSource(() => batch(INPUT, 0, 20))
  const [foreign] = await other.ports.streams.poll(`other/${other.topology.stages[1]!.stage.id}`, 0, undefined, 1)
  await h.ports.streams.put(h.topology.stream(1), 0, foreign!.data)
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('B(1): a frame of another run that is delivered again, in front of one that is consumed in part, takes nobody back to its beginning', async () => {
  const h = await harness(totals())
  const other = await harness(totals(), { run: 'other' })
  await other.environment(0).deliverSource(() => batch(INPUT, 0, 1))
  const [foreign] = await other.ports.streams.poll(`other/${other.topology.stages[1]!.stage.id}`, 0, undefined, 1)
  await h.ports.streams.put(h.topology.stream(1), 0, foreign!.data)
  await h.environment(0).deliverSource(() => batch(INPUT, 0, INPUT.length))
  const frames = await h.ports.streams.poll(h.topology.stream(1), 0, undefined, 100)
  let commits = 0
  const putIfAbsent: Ports['log']['putIfAbsent'] = async (...args) => {
    if (++commits > 1) throw new Error('it dies')
    return h.ports.log.putIfAbsent(...args)
  }
  const dying = { ...h.ports, log: { ...h.ports.log, putIfAbsent } }
  // The foreign one was told to be covered, which no commit says.
  await assert.rejects(h.environment(1, 0, { ports: dying, limits: { recordsMax: 3 } }).deliver(frames.slice(1)), /it dies/)
  await h.environment(1).deliver(frames)
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('B5: an undecided frame stops the batch, also for what other producers sent behind it', async () => {
  const h = await harness(totals(), { splits: 2 })
  await dieBeforeCommit(h, 0, 10, 0)
  await h.environment(0, 1).deliverSource(() => batch(INPUT, 10, 20))
  const sink = h.environment(1)
  const { undecided, covered } = await h.deliver(sink)
  assert.equal(undecided?.log, h.topology.log(0, 0))
  assert.equal(undecided?.version, 1)
  assert.equal(covered, '')
  assert.deepEqual(h.results(), [])
})

test('B3: helping decides a dead producer: the rest flows, the producer does its batch again', async () => {
  const h = await harness(totals())
  await dieBeforeCommit(h, 0, 10)
  const sink = h.environment(1)
  const { undecided } = await h.deliver(sink)
  assert.equal(await help(h.ports.log, h.ports.random, undecided!.log, undecided!.version), 1)
  assert.equal((await h.deliver(sink)).undecided, undefined)
  const source = h.environment(0)
  await source.deliverSource(() => batch(INPUT, 0, 20))
  await h.deliver(sink)
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('B3: a producer that is alive loses to a helper and repeats', async () => {
  const h = await harness(totals())
  const source = h.environment(0)
  await source.deliverSource(() => batch(INPUT, 0, 5))
  await help(h.ports.log, h.ports.random, source.log, 2)
  await assert.rejects(
    source.deliverSource(() => batch(INPUT, 5, 20)),
    LostRaceError,
  )
  await source.deliverSource(() => batch(INPUT, 5, 20))
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('B3: helping leaves no hole, decides nothing twice and nothing at or below the floor', async () => {
  const h = await harness(totals())
  const source = h.environment(0)
  await source.deliverSource(() => batch(INPUT, 0, 5))
  assert.equal(await help(h.ports.log, h.ports.random, source.log, 4), 3)
  assert.equal(await help(h.ports.log, h.ports.random, source.log, 4), 0)
  const slots = (await h.ports.log.range(source.log, 1, 10)).map(s => decodeItem(s.item))
  assert.deepEqual(
    slots.map(s => s.kind),
    ['commit', 'abort', 'abort', 'abort'],
  )
  assert.deepEqual(
    slots.slice(1).map(s => s.prev),
    slots.slice(0, -1).map(s => s.attempt),
  )
  await h.ports.log.raiseFloor(source.log, 6)
  assert.equal(await help(h.ports.log, h.ports.random, source.log, 6), 0)
})

test('B4: a slot that the service left unprocessed is asked again', async () => {
  const h = await harness(totals())
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 20))
  const log = { ...h.ports.log, batchGet: async (slots: readonly unknown[]) => slots.map(() => 'unknown' as const) }
  const { undecided } = await h.deliver(h.environment(1, 0, { ports: { ...h.ports, log } }))
  assert.equal(undecided, undefined)
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('B7: a frame that was really lost raises the gap error, with names and numbers', async () => {
  const h = await harness(totals())
  const losing: Ports = { ...h.ports, streams: { ...h.ports.streams, put: async () => '' } }
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 5))
  await h.environment(0, 0, { ports: losing }).deliverSource(() => batch(INPUT, 5, 10))
  await h.environment(0).deliverSource(() => batch(INPUT, 10, 15))
  const sink = h.environment(1)
  await assert.rejects(h.deliver(sink), (error: unknown) => error instanceof GapError && /3\.1.*2\.1.*1\.1/s.test(error.message))
})

test('B7: an environment behind its own log raises no gap error, even when that log has expired', async () => {
  for (const expired of [false, true]) {
    const h = await harness(totals())
    const source = h.environment(0)
    const [stale, sink] = [h.environment(1), h.environment(1)]
    await Promise.all([stale.ready(), sink.ready()])
    for (let i = 0; i < 15; i += 5) {
      await source.deliverSource(() => batch(INPUT, i, i + 5))
      await h.deliver(sink)
    }
    await source.deliverSource(() => batch(INPUT, 15, 20))
    if (expired) {
      await materialise(h.topology, sink.at, 0, 3, h.ports)
      await h.ports.log.raiseFloor(sink.log, 3)
      await h.ports.log.expire(sink.log, 1, 3)
    }
    // The service delivers from where the other environment has got to.
    const frames = (await stream(h)).slice(3)
    await assert.rejects(stale.deliver(frames), LostRaceError)
    await stale.deliver(frames)
    assert.deepEqual(h.results(), totalsOf(INPUT))
  }
})

test('B7: who goes on inside a frame takes no other frame for it: it is behind, or the stream has lost what was left', async () => {
  const h = await harness(totals(), { splits: 2 })
  await h.environment(0, 0).deliverSource(() => batch(INPUT, 0, 12))
  const frames = await h.ports.streams.poll(h.topology.stream(1), 0, undefined, 100)
  const limits = { recordsMax: 5 }
  let puts = 0
  const dying = faulty(h.ports, ({ name, when }) => {
    if (name === 'log.putIfAbsent' && when === 'before' && ++puts > 1) throw new Lost()
  })
  await assert.rejects(h.environment(1, 0, { ports: dying, limits }).deliver(frames), Lost)
  const stale = h.environment(1, 0, { limits })
  const unlucky = h.environment(1, 0, { limits })
  for (const each of [stale, unlucky]) assert.ok((await each.ready()).working.position.offset > 0)
  await h.environment(0, 1).deliverSource(() => batch(INPUT, 12, 20))
  const [later] = await h.ports.streams.poll(h.topology.stream(1), 0, frames.at(-1)!.seq, 100)

  await assert.rejects(unlucky.deliver([later!]), (error: unknown) => {
    assert.ok(error instanceof GapError, String(error))
    return /goes on inside frame 1\.1 of .*, but got frame 1\.1 of .*: frames were lost on the stream$/.test(error.message)
  })
  await h.deliver(h.environment(1, 0, { limits }))
  await assert.rejects(stale.deliver([later!]), LostRaceError)
  await stale.deliver([later!])
  assert.deepEqual(h.results(), totalsOf(INPUT))
})
