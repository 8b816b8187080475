import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { deliveredSink } from '../../runtime/connectors/delivered-sink.ts'
import type { Outgoing, Service } from '../../runtime/connectors/service.ts'
import type { Sink } from '../../runtime/connectors/sink.ts'
import { seeded } from '../engine/events.ts'
import {
  CheckpointedRun,
  type Faults,
  failing,
  faultyBlobs,
  finish,
  Killed,
  play,
  type Row,
  SUBTASKS,
  step,
} from './checkpointed.ts'
import { memoryBlobs } from './memory-blobs.ts'

/** Takes what comes; a call that fails may have sent any part of it, as long as each key is in order. */
function fakeService(faults: Faults): Service<Row, Row> & { readonly received: Outgoing<Row>[] } {
  const received: Outgoing<Row>[] = []
  return {
    received,
    kind: 'fake',
    where: 'the fake sink',
    check() {},
    message: value => value,
    async send(messages) {
      await failing(faults, async () => {
        const over = new Set<string>()
        for (const m of messages) {
          if (faults.random() < faults.rate) over.add(m.message.key)
          if (!over.has(m.message.key)) received.push(m)
        }
        if (over.size > 0) throw new Killed('in part')
      })
    },
    describe: () => 'fake',
  }
}

/** What somebody has who leaves out ids that he knows. */
function firsts(received: readonly Outgoing<Row>[]): Outgoing<Row>[] {
  const known = new Map<string, Row>()
  return received.filter(({ id, message }) => {
    const first = known.get(id)
    if (first !== undefined) assert.deepEqual(message, first, `${id} stands for two records`)
    known.set(id, message)
    return first === undefined
  })
}

function inOrder(rows: readonly Row[]): Map<string, string[]> {
  const by = new Map<string, string[]>()
  for (const { id, subtask, key } of rows) {
    const of = `${id.split('/')[0]}/${subtask}/${key}`
    by.set(of, [...(by.get(of) ?? []), id])
  }
  return new Map([...by].sort())
}

test('exactly once: whatever is interrupted, each record comes once by its id, in the order of its key, and not before its checkpoint', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer(),
      fc.constantFrom(0, 0.02, 0.05, 0.15),
      async (steps, seed, rate) => {
        const faults = { rate, random: seeded(seed) }
        const service = fakeService(faults)
        const staging = memoryBlobs()
        const run = new CheckpointedRun(
          deliveredSink(service),
          'r1',
          faultyBlobs(staging, faults),
          faults,
          Array(SUBTASKS).fill(undefined),
        )
        for (const s of steps) {
          await play(run, [s])
          const complete = new Set(run.complete.length === 0 ? [] : run.upTo(-1 + run.complete.length).map(({ id }) => id))
          for (const { message } of service.received) assert.ok(complete.has(message.id), `${message.id} came too early`)
        }
        await finish(run)
        faults.rate = 0
        assert.ok(await run.commitSinks())
        assert.deepEqual(inOrder(firsts(service.received).map(m => m.message)), inOrder(run.committed.flat()))
        assert.deepEqual(
          staging.keys().filter(key => key.includes('/staged/')),
          [],
        )
      },
    ),
    { numRuns: 300 },
  )
})

test('a run that starts from any checkpoint sends what the old one had staged for it, and goes on with ids of its own', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      fc.array(step, { maxLength: 15 }),
      fc.integer(),
      fc.nat(),
      async (before, after, seed, pick) => {
        const faults = { rate: 0.05, random: seeded(seed) }
        const service = fakeService(faults)
        const sink: Sink<Row> = deliveredSink(service)
        const old = new CheckpointedRun(sink, 'r1', faultyBlobs(memoryBlobs(), faults), faults, Array(SUBTASKS).fill(undefined))
        await play(old, [...before, { what: 'cut', complete: true, size: 2 }])
        const index = pick % old.complete.length
        const next = await old.restored('r2', index, faultyBlobs(memoryBlobs(), faults))
        await play(next, after)
        await finish(next)
        const came = firsts(service.received).map(m => m.message)
        const expected = [...old.upTo(index), ...next.committed.flat()]
        const ids = new Set(came.map(({ id }) => id))
        for (const { id } of expected) assert.ok(ids.has(id), `${id} is missing`)
        // What the old run had sent of later checkpoints can't be taken back.
        const later = new Set(old.upTo(old.complete.length - 1).map(({ id }) => id))
        const known = new Set(expected.map(({ id }) => id))
        const all = came.filter(({ id }) => known.has(id))
        for (const { id } of came) assert.ok(known.has(id) || later.has(id), id)
        assert.deepEqual(inOrder(all), inOrder(expected))
        // A fork: the old run goes on, and has all that it had staged.
        await finish(old)
        const rest = firsts(service.received)
          .map(m => m.message)
          .filter(({ id }) => id.startsWith('r1/'))
        assert.deepEqual(inOrder(rest), inOrder(old.committed.flat()))
      },
    ),
    { numRuns: 200 },
  )
})

test('at least once: sent with each flush, and no id stands for two records', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer(), async (steps, seed) => {
      const faults = { rate: 0.1, random: seeded(seed) }
      const service = fakeService(faults)
      const sink = deliveredSink(service, 'at-least-once')
      assert.equal(sink.commit, undefined)
      const run = new CheckpointedRun(sink, 'r1', memoryBlobs(), faults, Array(SUBTASKS).fill(undefined))
      for (const s of steps) {
        if (s.what !== 'commit') continue
        await run.commit(s.subtask, s.size)
        const came = new Set(firsts(service.received).map(({ message }) => message.id))
        for (const { id } of run.committed.flat()) assert.ok(came.has(id))
      }
    }),
    { numRuns: 100 },
  )
})

test('a delivery that there is not is refused when the pipeline is declared', () => {
  const service = fakeService({ rate: 0, random: Math.random })
  assert.throws(
    () => deliveredSink(service, 'exactly_once' as 'exactly-once'),
    /the fake sink has the delivery "exactly_once": write 'exactly-once' or/,
  )
})

test('a long publication that is interrupted goes on near where it was, not from its start', async () => {
  const commits = 4
  const each = 3_000
  const tries: number[] = []
  const received: string[] = []
  const sink = deliveredSink<string, string>({
    kind: 'fake',
    where: 'the fake sink',
    check() {},
    message: value => value,
    async send(messages) {
      tries.push(messages.length)
      received.push(...messages.map(m => m.id))
      if (tries.length === 2) throw new Killed('in the second group')
    },
    describe: () => 'fake',
  })
  const context = { run: 'r', pipeline: 'p', operatorId: 'o', subtask: 0, parallelism: 1, staging: memoryBlobs() }
  const writer = await sink.open(context, undefined)
  let state: Awaited<ReturnType<typeof writer.flush>>
  for (let version = 1; version <= commits; version++) {
    for (let i = 0; i < each; i++) writer.write(`${version}/${i}`, { timestamp: 0, key: undefined })
    state = await writer.flush({ ...context, version, attempt: 'a', checkpoint: 1 }, undefined)
  }
  await assert.rejects(sink.commit!('r', 1, [state], context), /the fake sink failed: in the second group/)
  await sink.commit!('r', 2, [state], context)
  assert.deepEqual(tries, [6_000, 6_000, 6_000])
  assert.equal(new Set(received).size, commits * each)
})
