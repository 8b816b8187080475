import assert from 'node:assert/strict'
import test from 'node:test'
import { readBase } from '../../runtime/checkpoint/base.ts'
import { SupersededFoldError } from '../../runtime/checkpoint/claims.ts'
import { foldToSegments } from '../../runtime/checkpoint/fold-to-segments.ts'
import { openLogBase } from '../../runtime/checkpoint/log-base.ts'
import { readManifest } from '../../runtime/checkpoint/manifest.ts'
import { restore } from '../../runtime/checkpoint/restore.ts'
import { type FoldLimits, materialisePart } from '../../runtime/checkpoint/snapshot.ts'
import { startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts, completeCheckpoint, failCheckpoint } from '../../runtime/checkpoint/steps.ts'
import type { Ports } from '../../runtime/ports.ts'
import { keyedNodes } from '../../runtime/stage/keyed-nodes.ts'
import { valueAddress } from '../../runtime/state/address.ts'
import { StaleViewError } from '../../runtime/state/base.ts'
import { unpack } from '../../runtime/state/codec.ts'
import { batch, type Harness, harness } from '../engine/harness.ts'
import { type Entry, entries, totals, totalsOf } from '../engine/ledger.ts'

const LATER: FoldLimits = { bytesMax: 1_000_000, checkpointsMax: 100 }

/** One source, and a stage with state behind it, in segments. */
async function fed(input: readonly Entry[], run = 'run', stateBackend: 'table' | 'segments' = 'segments') {
  // Nothing is kept of what was read: what has gone is missed at once.
  const h = await harness(totals(), { stateBackend, run, segmentCacheBytes: 0 })
  const [source, stage] = [h.environment(0), h.environment(1)]
  let at = 0
  const feed = async (to: number, subtask = stage) => {
    await source.deliverSource(() => batch(input, at, to))
    at = to
    await h.deliver(subtask)
  }
  /** Up to where it is materialised. */
  const begin = async (subtask = stage) => {
    const start = await startCheckpoint(h.topology, h.ports)
    await source.cutSource(start.checkpoint)
    await h.deliver(subtask)
    const { parts } = await collectParts(h.topology, start.checkpoint, h.ports)
    return { start, parts, part: parts.find(p => p.log === stage.log)! }
  }
  const complete = async ({ start, parts }: Awaited<ReturnType<typeof begin>>, defer?: FoldLimits) => {
    const materialised = []
    for (const part of parts) materialised.push(await materialisePart(h.topology, start, part, h.ports, { defer }))
    assert.equal((await completeCheckpoint(h.topology, start, parts, materialised, h.ports)).outcome, 'complete')
    return start.checkpoint
  }
  return { h, source, stage, feed, begin, complete }
}

/** Ports on which the marker is not moved until `thaw`. `hangs`: it is about to be. */
function hanging(ports: Ports) {
  let thaw = () => {}
  const thawed = new Promise<void>(resolve => {
    thaw = resolve
  })
  let told = () => {}
  const hangs = new Promise<void>(resolve => {
    told = resolve
  })
  const upsert: Ports['store']['upsert'] = async items => {
    told()
    await thawed
    return ports.store.upsert(items)
  }
  return { ports: { ...ports, store: { ...ports.store, upsert } }, thaw, hangs }
}

const blobsOf = async (h: Harness, log: string) => (await readBase(h.ports.store, log)).runs.flat().map(r => r.blob)

async function allThere(h: Harness, log: string): Promise<void> {
  for (const blob of await blobsOf(h, log)) assert.ok((await h.ports.blobs.get(blob)) !== undefined, `${blob} is there`)
}

const INPUT = entries(40)

test('no item of state is written to the store, only markers', async () => {
  const written = new Set<string>()
  const { h, feed, begin, complete } = await fed(INPUT)
  const { upsert } = h.ports.store
  Object.assign(h.ports.store, {
    upsert: (items: Parameters<typeof upsert>[0]) => {
      for (const { pk } of items) written.add(pk)
      return upsert(items)
    },
  })
  await feed(20)
  await complete(await begin())
  assert.deepEqual([...written].sort(), h.topology.stages.map(s => `marker|${h.topology.log(s.stage.index, 0)}`).sort())
})

test('E5: the segments of a fold that hangs stay, though its checkpoint has failed and the next is complete: it may move the marker yet', async () => {
  const { h, stage, feed, begin, complete } = await fed(INPUT)
  await feed(10)
  const failed = await begin()
  const hung = hanging(h.ports)
  const fold = materialisePart(h.topology, failed.start, failed.part, hung.ports)
  await hung.hangs
  await failCheckpoint(h.topology, failed.start, ['somebody'], h.ports)
  await feed(20)
  await complete(await begin(), LATER)
  hung.thaw()
  await fold
  assert.equal((await readBase(h.ports.store, stage.log)).version, failed.part.version)
  await allThere(h, stage.log)
  await feed(40, h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('E5: what the marker names stays, though no checkpoint that is kept names it', async () => {
  const { h, stage, feed, begin, complete } = await fed(INPUT)
  await feed(10)
  const failed = await begin()
  await materialisePart(h.topology, failed.start, failed.part, h.ports)
  await failCheckpoint(h.topology, failed.start, ['somebody'], h.ports)
  await feed(20)
  const next = await complete(await begin(), LATER)
  const manifest = await readManifest(h.ports.blobs, 'run', next)
  assert.deepEqual(manifest.subtasks.find(s => s.log === stage.log)!.runs, [])
  assert.ok((await blobsOf(h, stage.log)).length > 0)
  await allThere(h, stage.log)
  await feed(40, h.environment(1))
  assert.deepEqual(h.results(), totalsOf(INPUT))
})

test('E3: a fold that comes after that of a later checkpoint changes nothing, and says so; of two to one cut the first counts for both', async () => {
  const { h, stage, feed, begin, complete } = await fed(INPUT)
  await feed(10)
  const first = await begin()
  const hung = hanging(h.ports)
  const late = materialisePart(h.topology, first.start, first.part, hung.ports)
  await hung.hangs
  const twice = [1, 2].map(() => materialisePart(h.topology, first.start, first.part, h.ports))
  const [a, b] = await Promise.all(twice)
  assert.deepEqual(a!.runs, b!.runs)
  assert.deepEqual((await readBase(h.ports.store, stage.log)).runs, a!.runs)
  await complete(first)
  await feed(20)
  await complete(await begin())
  const after = await readBase(h.ports.store, stage.log)
  hung.thaw()
  await assert.rejects(late, SupersededFoldError)
  assert.deepEqual(await readBase(h.ports.store, stage.log), after)
  await allThere(h, stage.log)
})

test('a reader whose segments have gone reads on in those of the newer base, unless that is ahead of its view (E2)', async () => {
  const user = (name: string, n: number): Entry => ({ user: name, shop: 's', at: n, amount: 1 + n })
  // Somebody is met first and last; in between there is so much that all segments are merged, and the old ones go.
  const input = [user('old', 0), ...Array.from({ length: 12 }, (_, i) => user(`u${i}`, i + 1)), user('old', 20)]
  const { h, stage, feed, begin, complete } = await fed(input)
  await feed(1)
  await complete(await begin())
  const cold = h.environment(1)
  const { version } = (await cold.ready()).head
  const behind = openLogBase(h.topology.stateBackend, h.ports, { run: 'run', log: stage.log, view: () => version })
  await behind.marker()
  const before = await blobsOf(h, stage.log)
  assert.ok(before.length > 0)
  for (let n = 2; n <= 13; n++) {
    await feed(n, cold)
    await complete(await begin(cold))
  }
  for (const blob of before) assert.equal(await h.ports.blobs.get(blob), undefined, `${blob} is gone`)
  await feed(14, cold)
  assert.deepEqual(h.results(), totalsOf(input))
  const { operatorId } = keyedNodes(stage.at.stage)[0]!
  const address = valueAddress({ run: 'run', operatorId, subtask: 0 }, 'old', { name: 'total' })
  await assert.rejects(behind.batchGet([address]), StaleViewError)
})

test('E2: what has left memory is read from a base that has it, also by a reader that holds to an older one', async () => {
  const { h, stage, feed, begin, complete } = await fed(INPUT)
  await feed(5)
  await complete(await begin())
  const options = { run: 'run', log: stage.log, view: () => Number.POSITIVE_INFINITY }
  const base = openLogBase(h.topology.stateBackend, h.ports, options)
  const first = await base.marker()
  await feed(30)
  await complete(await begin())
  const { operatorId } = keyedNodes(stage.at.stage)[0]!
  const { user } = INPUT.slice(5, 30).find(e => INPUT.slice(0, 5).some(f => f.user === e.user))!
  const address = valueAddress({ run: 'run', operatorId, subtask: 0 }, user, { name: 'total' })
  const total = async () => {
    const [item] = await base.batchGet([address])
    return { v: item!.v, total: unpack(item!.value!) }
  }
  const sum = (n: number) => INPUT.slice(0, n).reduce((all, e) => all + (e.user === user ? e.amount : 0), 0)
  assert.deepEqual(await total(), { v: first, total: sum(5) })
  const { version } = await readBase(h.ports.store, stage.log)
  base.atLeast(version)
  assert.deepEqual(await total(), { v: version, total: sum(30) })
})

for (const to of ['table', 'segments'] as const)
  test(`a checkpoint whose cut is behind the base, which was folded to relieve memory, holds its cut: restored to ${to}`, async () => {
    const { h, stage, feed, begin, complete } = await fed(INPUT)
    await feed(8)
    await complete(await begin())
    await feed(16)
    const under = await begin()
    await feed(24)
    const { version } = (await stage.ready()).head
    await foldToSegments(h.topology, stage.at, 0, version, h.ports, { checkpoint: under.start.checkpoint + 1 })
    const checkpoint = await complete(under)
    await allThere(h, stage.log)
    const manifest = await readManifest(h.ports.blobs, 'run', checkpoint)
    const cut = new Map(manifest.subtasks.map(s => [s.log, s.version]))
    const next = await fed(INPUT, 'next', to)
    await restore(next.h.topology, manifest, h.ports.blobs, next.h.ports)
    await next.source.deliverSource(() => batch(INPUT, 16, 40))
    await next.h.deliver(next.stage)
    assert.deepEqual([...h.results(cut), ...next.h.results()], totalsOf(INPUT))
    // And the run itself goes on, cold.
    await complete(await begin())
    await feed(40, h.environment(1))
    assert.deepEqual(h.results(), totalsOf(INPUT))
  })

test('a segment that is lost is named, and not taken for state that is not there', async () => {
  const { h, stage, feed, begin, complete } = await fed(INPUT)
  await feed(10)
  await complete(await begin())
  const [blob] = await blobsOf(h, stage.log)
  await h.ports.blobs.delete(blob!)
  await assert.rejects(feed(20, h.environment(1)), {
    name: 'SnapshotError',
    message: new RegExp(`segment ${blob} is gone, though`),
  })
})
