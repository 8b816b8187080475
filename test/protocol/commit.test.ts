import assert from 'node:assert/strict'
import test from 'node:test'
import { writeMarker } from '../../runtime/checkpoint/marker.ts'
import { BrokenLogError, DeadlineError, LostRaceError } from '../../runtime/protocol/errors.ts'
import { decodeItem, encodeItem } from '../../runtime/protocol/item.ts'
import { batch, faulty, harness, Lost } from '../engine/harness.ts'
import { entries, totals, totalsOf } from '../engine/ledger.ts'

const INPUT = entries(20)

test('A1, A3: two environments of one subtask deliver the same batch: one wins, the other goes on behind it', async () => {
  const h = await harness(totals())
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 20))
  const a = h.environment(1)
  const b = h.environment(1)
  await Promise.all([a.ready(), b.ready()])
  await h.deliver(a)
  const frames = await h.ports.streams.poll(h.topology.stream(1), 0, undefined, 100)
  await assert.rejects(b.deliver(frames), LostRaceError)
  await b.deliver(frames)
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('A1: an environment that was frozen while another went on loses its attempt, and its sent frames count for nothing', async () => {
  const h = await harness(totals())
  const [a, zombie] = [h.environment(0), h.environment(0)]
  await Promise.all([a.ready(), zombie.ready()])
  await a.deliverSource(() => batch(INPUT, 0, 10))
  await a.deliverSource(() => batch(INPUT, 10, 15))
  await assert.rejects(
    zombie.deliverSource(() => batch(INPUT, 0, 20)),
    LostRaceError,
  )
  await a.deliverSource(() => batch(INPUT, 15, 20))
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('A6: a put whose answer is lost is settled by reading the slot', async () => {
  const h = await harness(totals())
  let lost = 0
  const ports = faulty(h.ports, ({ name, args, when }) => {
    if (name === 'log.putIfAbsent' && when === 'after' && String(args[0]).startsWith('run/') && lost++ % 2 === 0) throw new Lost()
  })
  const source = h.environment(0, 0, { ports })
  for (let i = 0; i < 20; i += 5) await source.deliverSource(() => batch(INPUT, i, i + 5))
  await h.deliver(h.environment(1, 0, { ports, limits: { recordsMax: 3 } }))
  assert.ok(lost > 5)
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('A6: a put that never landed is put again, and one that lost meanwhile is lost', async () => {
  const h = await harness(totals())
  let failures = 2
  const ports = faulty(h.ports, ({ name, when }) => {
    if (name === 'log.putIfAbsent' && when === 'before' && failures-- > 0) throw new Lost()
  })
  await h.environment(0, 0, { ports }).deliverSource(() => batch(INPUT, 0, 10))
  assert.ok(failures < 0)
  const rival = h.environment(0)
  await rival.ready()
  let first = true
  const slow = h.environment(0, 0, {
    ports: {
      ...h.ports,
      log: {
        ...h.ports.log,
        putIfAbsent: async (log, version, item) => {
          if (!first) return h.ports.log.putIfAbsent(log, version, item)
          first = false
          await rival.deliverSource(() => batch(INPUT, 10, 20))
          throw new Lost()
        },
      },
    },
  })
  await slow.ready()
  await assert.rejects(
    slow.deliverSource(() => batch(INPUT, 10, 12)),
    LostRaceError,
  )
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('A4: all frames of a version are put before its slot is', async () => {
  const h = await harness(totals(), { parallelism: 3 })
  const calls: string[] = []
  const ports = faulty(h.ports, ({ name, when }) => {
    if (name === 'streams.put' || name === 'log.putIfAbsent') calls.push(`${name} ${when}`)
  })
  await h.environment(0, 0, { ports }).deliverSource(() => batch(INPUT, 0, 10))
  assert.equal(calls.filter(c => c === 'streams.put after').length, 3)
  assert.deepEqual(calls.slice(-2), ['log.putIfAbsent before', 'log.putIfAbsent after'])
})

test('A7: what a delivery reports as covered is committed, also when commits fall on the end of a frame', async () => {
  const h = await harness(totals())
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 6))
  const { covered } = await h.deliver(h.environment(1, 0, { limits: { recordsMax: 3 } }))
  const { working } = await h.environment(1).ready()
  assert.equal(working.position.seq, covered)
  assert.equal(working.position.offset, 0)
})

test('A8: past its deadline an environment sends nothing and commits nothing', async () => {
  const h = await harness(totals())
  let deadline = h.clock.now() + 100
  const source = h.environment(0, 0, { limits: { deadline: () => deadline } })
  await source.deliverSource(() => batch(INPUT, 0, 5))
  h.clock.time += 101
  await assert.rejects(
    source.deliverSource(() => batch(INPUT, 5, 10)),
    DeadlineError,
  )
  assert.equal((await h.ports.streams.poll(h.topology.stream(1), 0, undefined, 100)).length, 1)
  deadline += 1000
  await source.deliverSource(() => batch(INPUT, 5, 20))
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('C1, C2: a zombie whose slots have expired wins a put below the floor, and finds out', async () => {
  const h = await harness(totals())
  const [a, zombie] = [h.environment(0), h.environment(0)]
  await Promise.all([a.ready(), zombie.ready()])
  for (let i = 0; i < 15; i += 5) await a.deliverSource(() => batch(INPUT, i, i + 5))
  await h.deliver(h.environment(1))
  await writeMarker(h.ports.store, a.log, 3)
  await h.ports.log.raiseFloor(a.log, 3)
  await h.ports.log.expire(a.log, 1, 3)
  await assert.rejects(
    zombie.deliverSource(() => batch(INPUT, 0, 5)),
    LostRaceError,
  )
  assert.ok(await h.ports.log.get(a.log, 1), 'the put itself succeeded')
  assert.equal((await zombie.ready()).head.version, 3)
  await zombie.deliverSource(() => batch(INPUT, 15, 20))
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('C1, C2: a zombie that has put a slot below the floor breaks no log for those whose view is as old', async () => {
  const h = await harness(totals())
  const [a, zombie, sleeper] = [h.environment(0), h.environment(0), h.environment(0)]
  await a.deliverSource(() => batch(INPUT, 0, 5))
  await Promise.all([zombie.ready(), sleeper.ready()])
  for (let i = 5; i < 15; i += 5) await a.deliverSource(() => batch(INPUT, i, i + 5))
  await h.deliver(h.environment(1))
  await writeMarker(h.ports.store, a.log, 3)
  await h.ports.log.raiseFloor(a.log, 3)
  await h.ports.log.expire(a.log, 1, 3)
  await assert.rejects(
    zombie.deliverSource(() => batch(INPUT, 5, 10)),
    LostRaceError,
  )
  assert.ok(await h.ports.log.get(a.log, 2), 'the put itself succeeded')
  h.clock.time += 3_600_000 // its view is read again
  assert.equal((await sleeper.ready()).head.version, 3)
  await sleeper.deliverSource(() => batch(INPUT, 15, 20))
  await h.deliver(h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('C7: a slot that does not name its predecessor is no history', async () => {
  const h = await harness(totals())
  const source = h.environment(0)
  await source.deliverSource(() => batch(INPUT, 0, 5))
  await h.ports.log.putIfAbsent(source.log, 2, encodeItem({ kind: 'abort', attempt: 'x', prev: 'nobody' }))
  await assert.rejects(
    h.environment(0).ready(),
    (error: unknown) => error instanceof BrokenLogError && /nobody/.test(error.message),
  )
})

test('A2: a delivery that is too large is committed in several, cut inside a frame, and a crash between them repeats the rest only', async () => {
  for (const crashAt of [1, 2, 3, 4]) {
    const h = await harness(totals())
    await h.environment(0).deliverSource(() => batch(INPUT, 0, 20))
    let puts = 0
    const ports = faulty(h.ports, ({ name, when }) => {
      if (name === 'log.putIfAbsent' && when === 'before' && ++puts >= crashAt) throw new Lost()
    })
    await assert.rejects(h.deliver(h.environment(1, 0, { ports, limits: { recordsMax: 3 } })), Lost)
    const next = h.environment(1, 0, { limits: { recordsMax: 3 } })
    assert.equal((await next.ready()).working.position.offset > 0, crashAt > 1)
    await h.deliver(next)
    assert.deepEqual(h.results(), totalsOf(INPUT))
  }
})

test('A5: the head is the end of the contiguous log', async () => {
  const h = await harness(totals())
  const source = h.environment(0)
  await source.deliverSource(() => batch(INPUT, 0, 5))
  const first = decodeItem((await h.ports.log.get(source.log, 1))!)
  await h.ports.log.putIfAbsent(source.log, 3, encodeItem({ kind: 'abort', attempt: 'stray', prev: 'x' }))
  const { head } = await h.environment(0).ready()
  assert.equal(head.version, 1)
  assert.equal(head.slotAttempt, first.attempt)
})
