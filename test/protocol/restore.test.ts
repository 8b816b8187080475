import assert from 'node:assert/strict'
import test from 'node:test'
import { decide, decisionOf } from '../../runtime/checkpoint/decision.ts'
import { manifestKey, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { completeCheckpoints, restore, supersede } from '../../runtime/checkpoint/restore.ts'
import { retain } from '../../runtime/checkpoint/retention.ts'
import { SupersededError, startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts } from '../../runtime/checkpoint/steps.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { decodeItem } from '../../runtime/protocol/item.ts'
import { SnapshotError } from '../../runtime/snapshot/error.ts'
import type { StateBackendName } from '../../runtime/state/backend.ts'
import { seeded } from '../engine/events.ts'
import { type Fault, faulty, harness, Lost } from '../engine/harness.ts'
import { balances } from '../engine/ledger.ts'
import { cutsOf, Schedule, sorted } from './schedule.ts'

const SHAPE = { parallelism: 2, splits: 2 }
/** A commit for each record: injection ends inside frames. */
const TIGHT = { recordsMax: 1, timersMax: 1 }

const BACKENDS = ['table', 'segments'] as const

async function undisturbed(): Promise<string[]> {
  const h = await harness(balances(), SHAPE)
  await new Schedule(h, seeded(1)).finish()
  const other = await harness(balances(), SHAPE)
  await new Schedule(other, seeded(2)).finish()
  assert.deepEqual(sorted(other.results()), sorted(h.results()), 'the order of things does not matter')
  return sorted(h.results())
}

/** A run with some checkpoints behind it, and the last of them. */
async function interrupted(seed: number, stateBackend: StateBackendName = BACKENDS[(seed >> 1) % 2]!) {
  const h = await harness(balances(), { ...SHAPE, stateBackend })
  const schedule = new Schedule(h, seeded(seed))
  let checkpoint = 0
  for (let n = 0; n <= seed % 3; n++) {
    await schedule.steps(10)
    checkpoint = (await schedule.checkpoint()).checkpoint
  }
  await schedule.steps(10)
  return { h, manifest: await readManifest(h.ports.blobs, 'run', checkpoint) }
}

test('D8: a run restored from a checkpoint goes on as if nothing had been, whatever was on its way at the cut', {
  timeout: 1_200_000,
}, async t => {
  const expected = await undisturbed()
  assert.ok(expected.length > 20)
  let injected = 0
  for (let seed = 0; seed < 30; seed++) {
    const { h, manifest } = await interrupted(seed)
    injected += manifest.subtasks.filter(s => s.channelState.length > 0).length
    const next = await harness(balances(), { ...SHAPE, run: 'next', stateBackend: BACKENDS[(seed >> 2) % 2]! })
    await restore(next.topology, manifest, h.ports.blobs, next.ports)
    const schedule = new Schedule(next, seeded(seed + 1000))
    let rest = next
    if (seed % 2 === 0) {
      // A run from a snapshot takes checkpoints that runs can start from.
      await schedule.steps(seed)
      const again = await readManifest(next.ports.blobs, 'next', (await schedule.checkpoint()).checkpoint)
      rest = await harness(balances(), { ...SHAPE, run: 'last', stateBackend: BACKENDS[(seed % 3) & 1]! })
      await restore(rest.topology, again, next.ports.blobs, rest.ports)
      await new Schedule(rest, seeded(seed + 2000)).finish()
      const rows = [...h.results(cutsOf(manifest)), ...next.results(cutsOf(again)), ...rest.results()]
      assert.deepEqual(sorted(rows), expected, `seed ${seed}`)
    } else {
      await schedule.finish()
      assert.deepEqual(sorted([...h.results(cutsOf(manifest)), ...next.results()]), expected, `seed ${seed}`)
    }
  }
  t.diagnostic(`${injected} subtasks began with channel state`)
  assert.ok(injected > 20)
})

test('D8: a restore, and the injection behind it, may die at any call of a port and be done again', {
  timeout: 1_200_000,
}, async t => {
  const expected = await undisturbed()
  let seed = 0
  let origin = await interrupted(seed)
  while (origin.manifest.subtasks.filter(s => s.channelState.length > 0).length < 3) origin = await interrupted(++seed)
  const { h, manifest } = origin
  let places = 0
  for (let n = 1; ; n += 11) {
    const next = await harness(balances(), { ...SHAPE, run: 'next', stateBackend: BACKENDS[((n / 11) | 0) % 2]! })
    let dead = false
    const fault: Fault = call => {
      if (!dead && (call.n !== n || call.when !== (n % 2 === 0 ? 'before' : 'after'))) return
      dead = true
      throw new Lost()
    }
    const ports = faulty(next.ports, fault)
    await restore(next.topology, manifest, h.ports.blobs, ports)
      .then(() => new Schedule({ ...next, ports }, seeded(n), TIGHT).steps(40))
      .catch(error => assert.ok(dead, error))
    await restore(next.topology, manifest, h.ports.blobs, next.ports)
    await new Schedule(next, seeded(n), TIGHT).finish()
    assert.deepEqual(sorted([...h.results(cutsOf(manifest)), ...next.results()]), expected, `died at call ${n}`)
    places++
    if (!dead) break
  }
  t.diagnostic(`${places} places to die`)
  assert.ok(places > 15)
})

test('D8: superseding decides the next checkpoint of the old run first; one that won the race is the newest', async () => {
  const { h } = await interrupted(1)
  const known = (await completeCheckpoints(h.ports, 'run')).at(-1)!
  const racing = {
    ...h.ports.log,
    // The old controller completes n + 1 just before.
    async putIfAbsent(log: string, version: number, item: Uint8Array) {
      if (version === known + 1)
        await decide(h.ports.log, 'run', version, { outcome: 'complete', startedAt: 0, decidedAt: 0, bytes: 0 })
      return h.ports.log.putIfAbsent(log, version, item)
    },
  }
  await supersede(racing, 'run', 5, 'another took its place')
  await supersede(h.ports.log, 'run', 6, 'again')
  assert.equal((await decisionOf(h.ports.log, 'run', known + 1))?.outcome, 'complete')
  assert.equal((await decisionOf(h.ports.log, 'run', known + 2))?.outcome, 'superseded')
  assert.equal(await decisionOf(h.ports.log, 'run', known + 3), undefined)
  await assert.rejects(startCheckpoint(h.topology, h.ports), SupersededError)
})

test('a snapshot that lacks a part is refused with its name', async () => {
  const { h, manifest } = await interrupted(4)
  const segment = manifest.subtasks.flatMap(s => s.runs!.flat())[0]!.blob
  const damaged: Blobs = { ...h.ports.blobs, get: async key => (key === segment ? undefined : h.ports.blobs.get(key)) }
  const next = await harness(balances(), { ...SHAPE, run: 'next' })
  await assert.rejects(
    restore(next.topology, manifest, damaged, next.ports),
    error => error instanceof SnapshotError && error.message.includes(segment),
  )
})

test('changes that a snapshot keeps as they were logged are of it, and refused when they are gone or cut', async () => {
  let kept = 0
  for (let seed = 0; seed < 6; seed++) {
    const { h, manifest } = await interrupted(seed)
    const [change] = manifest.subtasks.flatMap(s => s.changes!)
    if (change === undefined) continue
    kept++
    const next = () => harness(balances(), { ...SHAPE, run: 'next' })
    for (const bytes of [undefined, new Uint8Array(3)]) {
      const damaged: Blobs = { ...h.ports.blobs, get: async key => (key === change.blob ? bytes : h.ports.blobs.get(key)) }
      const { topology, ports } = await next()
      await assert.rejects(
        restore(topology, manifest, damaged, ports),
        error => error instanceof SnapshotError && error.message.includes(change.blob),
      )
    }
  }
  assert.ok(kept > 0)
})

for (const stateBackend of BACKENDS)
  test(`E5: retained checkpoints have all that they name, and nothing else stays behind: ${stateBackend}`, async () => {
    const h = await harness(balances(), { ...SHAPE, stateBackend })
    const schedule = new Schedule(h, seeded(9))
    for (let n = 1; n <= 9; n++) {
      await schedule.steps(12)
      await schedule.checkpoint()
      // What attempts that lost and failed checkpoints leave behind.
      const log = h.topology.log(1, 0)
      await h.ports.blobs.put(`chunks/${log}/1-lost`, new Uint8Array(1))
      await h.ports.blobs.put(`segments/${log}/${n}-failed-0`, new Uint8Array(1))
      await h.ports.blobs.put(`channels/${log}/${n}/7-failed`, new Uint8Array(1))
    }
    // It folds: with the backend `segments`, what a fold that hangs may have written stays until a later one has been.
    await schedule.checkpoint()
    const manifests = await h.ports.blobs.list('checkpoints/')
    assert.equal(manifests.length, 3)
    const named = new Set<string>()
    for (const n of [8, 9, 10]) {
      for (const s of (await readManifest(h.ports.blobs, 'run', n)).subtasks) {
        for (const blob of [...s.channelState, ...[...s.runs!.flat(), ...s.changes!].map(r => r.blob)]) named.add(blob)
      }
    }
    for (const blob of named) assert.ok((await h.ports.blobs.get(blob)) !== undefined, blob)
    for (const blob of [...(await h.ports.blobs.list('segments/')), ...(await h.ports.blobs.list('channels/'))])
      assert.ok(named.has(blob), blob)
    for (const at of h.topology.stages) {
      for (let shard = 0; shard < at.parallelism; shard++) {
        const log = h.topology.log(at.stage.index, shard)
        const floor = await h.ports.log.floor(log)
        const slots = await h.ports.log.range(log, 1, 1000)
        assert.equal(slots[0]!.version, floor)
        const chunks = new Set(
          slots
            .map(s => decodeItem(s.item))
            .flatMap(i => (i.kind === 'commit' && i.chunk !== undefined && 'blob' in i.chunk ? [i.chunk.blob] : [])),
        )
        for (const blob of await h.ports.blobs.list(`chunks/${log}/`)) assert.ok(chunks.has(blob), blob)
      }
    }
  })

for (const stateBackend of BACKENDS)
  test(`E5: a retention that runs late takes nothing that newer checkpoints name: ${stateBackend}`, async () => {
    const h = await harness(balances(), { ...SHAPE, stateBackend })
    const schedule = new Schedule(h, seeded(9))
    await schedule.steps(12)
    const { checkpoint } = await schedule.checkpoint()
    const { parts } = await collectParts(h.topology, checkpoint, h.ports)
    for (let n = 0; n < 4; n++) {
      await schedule.steps(12)
      await schedule.checkpoint()
    }
    await retain(h.topology, checkpoint, parts, h.ports)
    const newest = (await completeCheckpoints(h.ports, 'run')).at(-1)!
    const named = (await readManifest(h.ports.blobs, 'run', newest)).subtasks.flatMap(s => s.runs!.flat().map(r => r.blob))
    assert.ok(
      named.some(blob => blob.includes(`/${checkpoint}-`)),
      'the newest goes on with segments of the first',
    )
    for (const blob of named) assert.ok((await h.ports.blobs.get(blob)) !== undefined, blob)
  })

test('a manifest that lands when its checkpoint is not kept any more is none to start from', async () => {
  const h = await harness(balances(), SHAPE)
  const schedule = new Schedule(h, seeded(9))
  await schedule.steps(12)
  const { checkpoint } = await schedule.checkpoint()
  const key = manifestKey('run', checkpoint)
  const manifest = (await h.ports.blobs.get(key))!
  for (let n = 0; n < 4; n++) {
    await schedule.steps(12)
    await schedule.checkpoint()
  }
  assert.equal(await h.ports.blobs.get(key), undefined)
  const before = await completeCheckpoints(h.ports, 'run')
  assert.equal(await h.ports.blobs.putIfAbsent(key, manifest), true)
  assert.deepEqual(await completeCheckpoints(h.ports, 'run'), before)
})
