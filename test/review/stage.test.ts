import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import test from 'node:test'
import { materialisePart } from '../../runtime/checkpoint/snapshot.ts'
import { startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts, completeCheckpoint } from '../../runtime/checkpoint/steps.ts'
import { type Shared, stageLoop } from '../../runtime/embedded/loops.ts'
import { meter } from '../../runtime/embedded/meter.ts'
import { closable } from '../../runtime/embedded/open-shards.ts'
import { boundedOutOfOrderness, ndjson, pipeline, print } from '../../runtime/index.ts'
import type { Ports } from '../../runtime/ports.ts'
import { decodeItem, encodeItem } from '../../runtime/protocol/item.ts'
import type { Subtask } from '../../runtime/stage/subtask.ts'
import { Timers } from '../../runtime/state/timers.ts'
import { batch, faulty, type Harness, harness, Lost } from '../engine/harness.ts'
import { Entry, entries, totals, totalsOf } from '../engine/ledger.ts'

const INPUT = entries(40)

async function checkpoint(h: Harness, sources: readonly Subtask[], stages: readonly Subtask[], ports = h.ports): Promise<void> {
  const start = await startCheckpoint(h.topology, h.ports)
  for (const s of sources) await s.cutSource(start.checkpoint)
  for (const s of stages) await h.deliver(s)
  const { parts, missing } = await collectParts(h.topology, start.checkpoint, h.ports)
  assert.deepEqual(missing, [])
  const materialised = await Promise.all(parts.map(part => materialisePart(h.topology, start, part, h.ports)))
  await completeCheckpoint(h.topology, start, parts, materialised, ports)
}

test('a process function without a key knows the watermark after a restart', async () => {
  const app = pipeline('restarted')
  app
    .source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') })
    .process((e, ctx) => [{ at: e.at, watermark: ctx.currentWatermark }])
    .sink('out', print())
  const h = await harness(app)
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 10))
  await h.environment(0).deliverSource(() => batch(INPUT, 10, 20))
  assert.deepEqual(
    h.results().map(r => r.watermark),
    INPUT.slice(0, 20).map((_, i) => (i === 0 ? Number.NEGATIVE_INFINITY : INPUT[i - 1]!.at - 1001)),
  )
})

test('E5: a retention that died between the floor and the deletion is made up for by the next', async () => {
  const h = await harness(totals())
  const [source, sink] = [h.environment(0), h.environment(1)]
  for (let i = 0; i < 5; i++) await source.deliverSource(() => batch(INPUT, i, i + 1))
  const dying = faulty(h.ports, ({ name, when }) => {
    if (name === 'log.expire' && when === 'before') throw new Lost()
  })
  await assert.rejects(checkpoint(h, [source], [sink], dying), Lost)
  for (let i = 5; i < 10; i++) await source.deliverSource(() => batch(INPUT, i, i + 1))
  await checkpoint(h, [source], [sink])
  for (const { log } of [source, sink]) {
    const floor = await h.ports.log.floor(log)
    assert.ok(floor > 1)
    assert.equal((await h.ports.log.range(log, 1, 1))[0]!.version, floor, log)
  }
})

test('C2: a cold start whose chunks expire while it reads them starts over', async () => {
  const h = await harness(totals())
  const long = entries(40).map(e => ({ ...e, user: `${e.user}${randomBytes(4000).toString('base64')}` }))
  const [source, sink] = [h.environment(0), h.environment(1)]
  await source.deliverSource(() => batch(long, 0, 20))
  await h.deliver(sink)
  await checkpoint(h, [source], [sink])
  await source.deliverSource(() => batch(long, 20, 39))
  await h.deliver(sink)
  let overtaken = false
  const ports: Ports = {
    ...h.ports,
    blobs: {
      ...h.ports.blobs,
      async get(key) {
        if (!overtaken) {
          overtaken = true
          await checkpoint(h, [source], [sink])
        }
        return h.ports.blobs.get(key)
      },
    },
  }
  const cold = h.environment(1, 0, { ports })
  await source.deliverSource(() => batch(long, 39, 40))
  await h.deliver(cold)
  assert.ok(overtaken)
  assert.deepEqual(h.results(), totalsOf(long))
})

test('a delivery that is lost when part of it is committed leaves no backlog behind', async () => {
  const h = await harness(totals())
  await h.environment(0).deliverSource(() => batch(INPUT, 0, 10))
  await h.environment(0).deliverSource(() => batch(INPUT, 10, 40))
  // Counts the frames that are there already as if this process had put them.
  const streams = meter(closable({ ...h.ports.streams, put: async () => '' }), h.clock)
  const stream = h.topology.stream(1)
  for (const r of await h.ports.streams.poll(stream, 0, undefined, 100)) await streams.put(stream, 0, r.data)
  let puts = 0
  const ports: Ports = {
    ...h.ports,
    streams,
    log: {
      ...h.ports.log,
      async putIfAbsent(log, version, item) {
        if (log.endsWith('/0') && ++puts === 4) {
          const { item: before } = (await h.ports.log.range(log, version - 1, 1))[0]!
          await h.ports.log.putIfAbsent(
            log,
            version,
            encodeItem({ kind: 'abort', attempt: 'abort-helper', prev: decodeItem(before).attempt }),
          )
        }
        return h.ports.log.putIfAbsent(log, version, item)
      },
    },
  }
  const subtask = h.environment(1, 0, { ports, limits: { recordsMax: 5 } })
  let steps = 0
  const shared: Shared = {
    ports,
    streams,
    batchSize: 10,
    startedAt: 0,
    stopping: () => false,
    ended: () => ++steps > 4,
    keepOpen: false,
    congested: () => false,
    keepPace: () => false,
  }
  assert.ok(streams.backlogBytes > 0)
  await stageLoop(subtask, stream, shared).run()
  assert.deepEqual(h.results(), totalsOf(INPUT))
  assert.equal(streams.backlogBytes, 0)
})

test('a timer that is set and deleted over and over takes no memory', () => {
  const timers = new Timers()
  timers.set(5, 'a')
  for (let i = 0; i < 100_000; i++) {
    timers.set(1000 + (i % 7), 'k')
    timers.delete(1000 + (i % 7), 'k')
    timers.changes = []
  }
  timers.set(3, 'b')
  const { heap } = timers as unknown as { heap: number[] }
  assert.ok(heap.length < 5000, `${heap.length}`)
  assert.equal(timers.next, 3)
  timers.delete(3, 'b')
  assert.equal(timers.next, 5)
  timers.delete(5, 'a')
  assert.equal(timers.next, Number.POSITIVE_INFINITY)
})
