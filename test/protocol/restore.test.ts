import assert from 'node:assert/strict'
import test from 'node:test'
import { decide, decisionOf } from '../../runtime/checkpoint/decision.ts'
import { type Manifest, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { completeCheckpoints, restore, supersede } from '../../runtime/checkpoint/restore.ts'
import { retain } from '../../runtime/checkpoint/retention.ts'
import { materialisePart } from '../../runtime/checkpoint/snapshot.ts'
import { type CheckpointStart, SupersededError, startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts, completeCheckpoint } from '../../runtime/checkpoint/steps.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { decodeItem } from '../../runtime/protocol/item.ts'
import { SnapshotError } from '../../runtime/snapshot/error.ts'
import type { StateBackendName } from '../../runtime/state/backend.ts'
import { seeded } from '../engine/events.ts'
import { batch, type Fault, faulty, type Harness, harness, Lost } from '../engine/harness.ts'
import { balances, type Entry, entries } from '../engine/ledger.ts'

const INPUT = 60
/** Each split has users of its own, so that what comes out does not depend on how the two interleave. */
const SPLITS: Entry[][] = [0, 1].map(split =>
  entries(INPUT).map(e => ({ ...e, user: `${split}${e.user}`, at: e.at + split * 300 })),
)
const SHAPE = { parallelism: 2, splits: 2 }
const LIMITS = { recordsMax: 4, timersMax: 3 }
/** A commit for each record: injection ends inside frames. */
const TIGHT = { recordsMax: 1, timersMax: 1 }

/** Two checkpoints of three keep what was logged, if it isn't too much. */
const DEFER = { bytesMax: 2_000, checkpointsMax: 2 }

type Random = () => number

/** Everything in a random order: sources read a little, stages are delivered a little, in environments that are cold now and then. */
class Schedule {
  readonly h: Harness
  private readonly random: Random
  private readonly limits: typeof LIMITS
  private readonly environments
  private readonly cuts = new Set<number>()

  constructor(h: Harness, random: Random, limits = LIMITS) {
    this.limits = limits
    this.h = h
    this.random = random
    this.environments = h.topology.stages.map(at =>
      Array.from({ length: at.parallelism }, (_, shard) => this.cold(at.stage.index, shard)),
    )
  }

  private cold(stage: number, shard: number, ports = this.h.ports) {
    return this.h.environment(stage, shard, { limits: this.limits, ports })
  }

  private pick(n: number): number {
    return Math.floor(this.random() * n)
  }

  /** One step of any subtask. False: it had nothing to do. */
  async step(): Promise<boolean> {
    const all = this.environments.flatMap((shards, stage) => shards.map((_, shard) => ({ stage, shard })))
    const { stage, shard } = all[this.pick(all.length)]!
    if (this.random() < 0.05) this.environments[stage]![shard] = this.cold(stage, shard)
    const subtask = this.environments[stage]![shard]!
    if (subtask.at.stage.source === undefined) return this.deliver(stage, shard, 1 + this.pick(3))
    const { working } = await subtask.ready()
    if (working.sourceDone) return false
    const from = (working.source as { index: number } | undefined)?.index ?? 0
    await subtask.deliverSource(() => batch(SPLITS[shard]!, from, Math.min(INPUT, from + 1 + this.pick(5))))
    return true
  }

  private async deliver(stage: number, shard: number, limit: number): Promise<boolean> {
    const subtask = this.environments[stage]![shard]!
    const before = (await subtask.ready()).head.version
    await this.h.deliver(subtask, limit)
    return subtask.current!.head.version > before
  }

  /** Sources send their barriers at moments of their own; then everybody goes on until all have acked. */
  async checkpoint(): Promise<CheckpointStart> {
    const start = await startCheckpoint(this.h.topology, this.h.ports)
    this.cuts.clear()
    for (;;) {
      await this.step()
      for (const [shard, source] of this.environments[0]!.entries()) {
        if (!this.cuts.has(shard) && this.random() < 0.1) {
          await source.cutSource(start.checkpoint)
          this.cuts.add(shard)
        }
      }
      const { parts, missing } = await collectParts(this.h.topology, start.checkpoint, this.h.ports)
      if (missing.length > 0) continue
      const defer = start.checkpoint % 3 === 1 ? undefined : DEFER
      const materialised = await Promise.all(
        parts.map(part => materialisePart(this.h.topology, start, part, this.h.ports, { defer })),
      )
      await completeCheckpoint(this.h.topology, start, parts, materialised, this.h.ports)
      return start
    }
  }

  async steps(n: number): Promise<void> {
    for (let i = 0; i < n; i++) await this.step()
  }

  async finish(): Promise<void> {
    for (let idle = 0; idle < 100; ) idle = (await this.step()) ? 0 : idle + 1
    for (const s of this.environments.flat()) assert.equal((await s.ready()).working.watermark, Number.POSITIVE_INFINITY)
  }
}

const BACKENDS = ['table', 'segments'] as const

const cutsOf = (manifest: Manifest) => new Map(manifest.subtasks.map(s => [s.log, s.version]))
const sorted = (rows: readonly unknown[]) => rows.map(r => JSON.stringify(r)).sort()

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
