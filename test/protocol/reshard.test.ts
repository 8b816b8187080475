import assert from 'node:assert/strict'
import test from 'node:test'
import { decisionOf } from '../../runtime/checkpoint/decision.ts'
import { inherit } from '../../runtime/checkpoint/inherit.ts'
import { type Manifest, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { materialise } from '../../runtime/checkpoint/materialise.ts'
import { completeCheckpoints, restore } from '../../runtime/checkpoint/restore.ts'
import { type MaterialisedPart, materialisePart } from '../../runtime/checkpoint/snapshot.ts'
import { startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts, completeCheckpoint, failCheckpoint } from '../../runtime/checkpoint/steps.ts'
import { type ClosableStreams, closable } from '../../runtime/embedded/open-shards.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Ports } from '../../runtime/ports.ts'
import { LostRaceError, ShardClosedError } from '../../runtime/protocol/errors.ts'
import { help } from '../../runtime/protocol/help.ts'
import { mergeRuns } from '../../runtime/snapshot/runs.ts'
import { openShards, relaid } from '../../runtime/stage/layout.ts'
import type { Subtask } from '../../runtime/stage/subtask.ts'
import type { Topology } from '../../runtime/stage/topology.ts'
import { StaleViewError } from '../../runtime/state/base.ts'
import { seeded } from '../engine/events.ts'
import { batch, faulty, type Harness, harness, Lost } from '../engine/harness.ts'
import { entries, prices, statements } from '../engine/ledger.ts'
import { cutsOf } from './schedule.ts'

const INPUT = entries(60)
/** Of the input: state is compared there, before the end fires everything. */
const COMPARED = 50
const LIMITS = { recordsMax: 3, timersMax: 2 }
const SEEDS = Number(process.env.RESHARD_SEEDS ?? 8)
const FIRST = Number(process.env.RESHARD_FIRST ?? 1)

/** Environments come and go, some know less than others, calls fail, shards are split and merged at any moment. */
class World {
  readonly h: Harness
  readonly random: () => number
  readonly streams: ClosableStreams
  readonly ports: Ports
  /** What the newest environments know. */
  topology: Topology
  /** Every frame that was put: one whose answer was lost may arrive once more, at any time. */
  private readonly sent: { stream: string; shard: number; data: Uint8Array }[] = []
  /** Warm ones, by log; of some there are two. */
  private readonly environments = new Map<string, Subtask[]>()
  readonly faults: number
  checkpoint: Awaited<ReturnType<typeof startCheckpoint>> | undefined
  splits = 0
  completed = 0
  never = 0

  constructor(h: Harness, seed: number, faults: number) {
    this.h = h
    this.random = seeded(seed)
    this.faults = faults
    const streams = closable(h.ports.streams)
    this.streams = {
      ...streams,
      put: async (stream, shard, data) => {
        const seq = await streams.put(stream, shard, data)
        this.sent.push({ stream, shard, data })
        return seq
      },
    }
    this.ports = { ...h.ports, streams: this.streams }
    this.topology = h.topology
  }

  pick(n: number): number {
    return Math.floor(this.random() * n)
  }

  /** Some calls fail, with or without effect. */
  private get failing(): Ports {
    if (this.faults === 0) return this.ports
    return faulty(this.ports, () => {
      if (this.random() < this.faults) throw new Lost()
    })
  }

  environment(stage: number, shard: number): Subtask {
    const log = this.topology.log(stage, shard)
    const all = this.environments.get(log) ?? []
    this.environments.set(log, all)
    const chance = this.faults === 0 ? 1 : this.random()
    const known = all[this.pick(all.length)]
    if (known !== undefined && chance > 0.15) return known
    // What it knows of shards is that of now, or of some time before: its own object, which nobody tells of changes.
    const topology = this.faults > 0 && this.random() < 0.5 ? this.copyOfTopology() : this.topology
    const made = this.h.environment(stage, shard, { ports: this.failing, limits: LIMITS, topology })
    if (all.length > 1) all.splice(this.pick(all.length), 1)
    all.push(made)
    return made
  }

  private copyOfTopology(): Topology {
    const copy = this.h.newTopology()
    for (const { stage } of this.topology.stages) copy.adopt(stage.index, this.topology.layout(stage.index))
    return copy
  }

  /** What an attempt may meet; the environment then starts from the log, with what is known by then. */
  async tried(stage: number, shard: number, work: (subtask: Subtask) => Promise<unknown>): Promise<boolean> {
    const subtask = this.environment(stage, shard)
    try {
      await work(subtask)
      return true
    } catch (error) {
      if (
        !(
          error instanceof Lost ||
          error instanceof LostRaceError ||
          error instanceof StaleViewError ||
          error instanceof ShardClosedError
        )
      )
        throw error
      const all = this.environments.get(this.topology.log(stage, shard))!
      if (error instanceof ShardClosedError || this.random() < 0.3) all.splice(all.indexOf(subtask), 1)
      return false
    }
  }

  async source(upTo: number): Promise<void> {
    await this.tried(0, 0, async source => {
      const { working } = await source.ready()
      const from = Number(working.source?.index ?? 0)
      if (from < upTo) await source.deliverSource(() => batch(INPUT, from, Math.min(upTo, from + 1 + this.pick(6))))
    })
  }

  /** A delivery to any shard there ever was: from where the environment thinks it stands, or from further back. */
  async deliver(stage: number, shard: number): Promise<boolean> {
    if (!(await this.begun(stage, shard))) return false
    let progressed = false
    await this.tried(stage, shard, async subtask => {
      const { working } = await subtask.ready()
      const again = this.faults > 0 && this.random() < 0.2
      const after = again || working.position.seq === '' ? undefined : working.position.seq
      const name = this.topology.stream(stage)
      const records = await this.ports.streams.poll(name, shard, after, this.faults === 0 ? 100 : 1 + this.pick(5))
      const { undecided } = await subtask.deliver(records)
      progressed = records.length > 0
      if (undecided !== undefined && (this.faults === 0 || this.random() < 0.5))
        await help(this.ports.log, this.ports.random, undecided.log, undecided.version)
      const { children } = this.topology.shard(stage, shard)
      // Also when it can't be the end yet: then that is refused.
      if (children !== undefined && !subtask.current!.head.sealed)
        if (await subtask.seal(children, position => this.streams.ended(name, shard, position))) progressed = true
    })
    return progressed
  }

  /** Whether its log is there; if those before it have ended, it is from now on. */
  private async begun(stage: number, shard: number): Promise<boolean> {
    const at = this.topology.stages[stage]!
    const ports = this.failing
    try {
      return await inherit(this.topology, at, shard, ports, (parent, seal) => materialise(this.topology, at, parent, seal, ports))
    } catch (error) {
      if (error instanceof Lost) return false
      throw error
    }
  }

  /** A frame comes again, at whoever has its key groups by now. */
  async late(): Promise<void> {
    const frame = this.sent[this.pick(this.sent.length)]
    if (frame === undefined) return
    const stage = [1, 2].find(s => this.topology.stream(s) === frame.stream)!
    let { shard } = frame
    for (let { children } = this.topology.shard(stage, shard); children !== undefined; ) {
      shard = children[this.pick(children.length)]!
      children = this.topology.shard(stage, shard).children
    }
    await this.h.ports.streams.put(frame.stream, shard, frame.data)
  }

  reshard(): void {
    const stage = 1 + this.pick(2)
    const { keyGroups } = this.topology.plan.options
    const open = openShards(this.topology.layout(stage)).map(s => s.from)
    const starts = this.random() < 0.5 ? split(open, keyGroups, this) : merged(open, this)
    const layout = relaid(this.topology.layout(stage), starts, keyGroups)
    if (layout === undefined) return
    this.splits++
    for (const { shard, children } of layout) if (children !== undefined) this.streams.close(this.topology.stream(stage), shard)
    this.topology.adopt(stage, layout)
  }

  /** Any step of the controller's, each of which may come to nothing. */
  async control(): Promise<void> {
    try {
      if (this.checkpoint === undefined) this.checkpoint = await startCheckpoint(this.topology, this.failing)
      const start = this.checkpoint
      if ((await decisionOf(this.ports.log, this.topology.run, start.checkpoint)) !== undefined) {
        this.checkpoint = undefined
        return
      }
      if (!(await this.tried(0, 0, source => source.cutSource(start.checkpoint)))) return
      const { parts, missing, never } = await collectParts(this.topology, start.checkpoint, this.failing)
      if (never.length > 0 || this.random() < 0.05 * this.faults) {
        this.never += never.length > 0 ? 1 : 0
        await failCheckpoint(this.topology, start, missing, this.failing)
        this.checkpoint = undefined
      } else if (missing.length === 0) {
        await this.complete(start, parts)
        this.checkpoint = undefined
      }
    } catch (error) {
      if (!(error instanceof Lost)) throw error
    }
  }

  private async complete(start: NonNullable<World['checkpoint']>, parts: Awaited<ReturnType<typeof collectParts>>['parts']) {
    const ports = this.failing
    const materialised: MaterialisedPart[] = []
    for (const part of parts) {
      const defer = this.faults > 0 && start.checkpoint % 2 === 1 ? { bytesMax: 100_000, checkpointsMax: 1 } : undefined
      const done = await materialisePart(this.topology, start, part, ports, { defer })
      materialised.push(done)
      if (done.to === part.version) for (const e of this.environments.get(part.log) ?? []) e.materialised(part.version)
    }
    const { outcome } = await completeCheckpoint(this.topology, start, parts, materialised, ports)
    assert.equal(outcome, 'complete')
    this.completed++
  }

  shards(): { stage: number; shard: number }[] {
    return [1, 2].flatMap(stage => this.topology.layout(stage).map(({ shard }) => ({ stage, shard })))
  }
}

function split(open: readonly number[], groups: number, world: World): number[] {
  const at = 1 + world.pick(groups - 1)
  return [...new Set([...open, at])].sort((a, b) => a - b)
}

/** Up to two borders go, or one moves. */
function merged(open: readonly number[], world: World): number[] {
  const [first, ...rest] = open
  return [first!, ...rest.filter(() => world.random() < 0.6)]
}

/** All that is on its way gets through: no calls fail any more, and one environment knows all. */
async function settle(world: World, upTo: number): Promise<void> {
  for (let round = 0; ; round++) {
    assert.ok(round < 400, 'it gets through')
    await world.source(upTo)
    let progressed = false
    for (const { stage, shard } of world.shards()) if (await world.deliver(stage, shard)) progressed = true
    const { working } = await world.environment(0, 0).ready()
    if (!progressed && Number(working.source?.index ?? 0) >= upTo) return
  }
}

async function finalCheckpoint(world: World): Promise<Map<string, string>> {
  const before = world.completed
  for (let round = 0; world.completed === before; round++) {
    assert.ok(round < 100, 'a checkpoint completes')
    await world.control()
    for (const { stage, shard } of world.shards()) await world.deliver(stage, shard)
  }
  const { checkpoint } = await startCheckpoint(world.topology, world.ports)
  const manifest = await readManifest(world.ports.blobs, world.topology.run, checkpoint - 1)
  const state = new Map<string, string>()
  const subtasks = [...manifest.subtasks].sort((a, b) => a.stage - b.stage || a.shard - b.shard)
  // Of broadcast state there is a copy for each subtask.
  for await (const { address, value } of mergeRuns(
    world.ports.blobs,
    subtasks.flatMap(s => s.runs ?? []),
  ))
    if (value !== undefined && !/\|b\d+\0/.test(address)) state.set(address, Buffer.from(value).toString('hex'))
  return state
}

const sorted = (h: Harness) =>
  h
    .results()
    .map(r => JSON.stringify(r))
    .sort()

/** Anything that can happen, in any order. */
async function wilderness(wild: World, steps: number): Promise<void> {
  const { working } = await wild.h.environment(0).ready()
  let upTo = Number(working.source?.index ?? 0)
  for (let step = 0; step < steps; step++) {
    const dice = wild.random()
    upTo = Math.max(upTo, Math.min(COMPARED, Math.floor((step * COMPARED) / steps)))
    if (dice < 0.1) await wild.source(upTo)
    else if (dice < 0.13) wild.reshard()
    else if (wild.faults > 0 && dice < 0.16) await wild.late()
    else if (dice < 0.23) await wild.control()
    else {
      const shards = wild.shards()
      const { stage, shard } = shards[wild.pick(shards.length)]!
      await wild.deliver(stage, shard)
    }
  }
}

const PIPELINES = [statements, prices] as const

async function life(app: () => Pipeline, seed: number, faults: number, steps: number) {
  const h = await harness(app(), { parallelism: 2 })
  const wild = new World(h, seed, faults)
  await wilderness(wild, steps)
  const calm = new World(h, seed, 0)
  Object.assign(calm, { streams: wild.streams, ports: { ...h.ports, streams: wild.streams }, checkpoint: wild.checkpoint })
  await settle(calm, COMPARED)
  // One that is under way is complete in the end, or known never to be: nobody waits for it in vain.
  for (let round = 0; calm.checkpoint !== undefined; round++) {
    assert.ok(round < 50, `seed ${seed}: checkpoint ${calm.checkpoint.checkpoint} is decided`)
    await calm.control()
    if (calm.checkpoint !== undefined) await settle(calm, COMPARED)
  }
  const state = await finalCheckpoint(calm)
  await settle(calm, INPUT.length)
  return { results: sorted(h), state, wild }
}

test('shards of stages split and merge while environments die, come late and call in vain: nothing is lost, doubled or kept wrong (F1–F3, D5)', {
  timeout: 600_000,
}, async t => {
  const undisturbed = await Promise.all(PIPELINES.map(app => life(app, 0, 0, 0)))
  assert.ok(undisturbed.every(({ results, state }) => results.length > 5 && state.size > 1))
  const sums = { splits: 0, completed: 0, never: 0 }
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const expected = undisturbed[seed % 2]!
    const { results, state, wild } = await life(PIPELINES[seed % 2]!, seed, seed % 4 === 0 ? 0 : 0.01, 400)
    assert.deepEqual(results, expected.results, `seed ${seed}`)
    assert.deepEqual(state, expected.state, `seed ${seed}`)
    sums.splits += wild.splits
    sums.completed += wild.completed
    sums.never += wild.never
  }
  t.diagnostic(`${sums.splits} changes of shards, ${sums.completed} checkpoints, ${sums.never} that never could be complete`)
  assert.ok(sums.splits > SEEDS && sums.completed > SEEDS / 2)
})

/** What came out up to a checkpoint, of whichever shards there were by then. */
function resultsUpTo({ h, topology }: World, manifest: Manifest): unknown[] {
  const logs = topology.stages.flatMap(({ stage }) =>
    topology.layout(stage.index).map(({ shard }) => topology.log(stage.index, shard)),
  )
  return h.results(new Map([...logs.map(log => [log, 0] as const), ...cutsOf(manifest)]))
}

test('another run starts from whatever checkpoint there is while shards split and merge, at any parallelism, and again: nothing is lost, doubled or late (D5, D8)', {
  timeout: 600_000,
}, async t => {
  const undisturbed = await Promise.all(PIPELINES.map(app => life(app, 0, 0, 0)))
  const sums = { behind: 0, onTheirWay: 0, again: 0 }
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const faults = seed % 4 === 0 ? 0 : 0.01
    const app = PIPELINES[seed % 2]!
    let world = new World(await harness(app(), { parallelism: 2 }), seed, faults)
    await wilderness(world, 250)
    const rows: unknown[] = []
    for (const life of ['second', 'third']) {
      const from = (await completeCheckpoints(world.ports, world.topology.run)).at(-1)
      if (from === undefined) break
      const manifest = await readManifest(world.ports.blobs, world.topology.run, from)
      rows.push(...resultsUpTo(world, manifest))
      const parallelism = [1, 2, 3, 8][world.pick(4)]!
      // What is in segments can't be split and merged while it runs.
      const stateBackend = life === 'third' && seed % 3 === 0 ? 'segments' : 'table'
      const h = await harness(app(), { parallelism, run: life, found: manifest.shape, stateBackend })
      await restore(h.topology, manifest, world.ports.blobs, h.ports)
      sums.behind += manifest.subtasks.some(s => s.ended) ? 1 : 0
      sums.onTheirWay += manifest.subtasks.some(s => s.channelState.length > 0) ? 1 : 0
      sums.again += life === 'third' ? 1 : 0
      world = new World(h, seed, faults)
      if (life === 'second') await wilderness(world, 120)
    }
    const calm = new World(world.h, seed, 0)
    Object.assign(calm, { streams: world.streams, ports: world.ports, topology: world.topology, checkpoint: world.checkpoint })
    await settle(calm, INPUT.length)
    assert.deepEqual(
      [...rows, ...world.h.results()].map(r => JSON.stringify(r)).sort(),
      undisturbed[seed % 2]!.results,
      `seed ${seed}`,
    )
  }
  t.diagnostic(`${sums.behind} behind a change of shards, ${sums.onTheirWay} with records on their way, ${sums.again} again`)
  assert.ok(sums.behind > 0 && sums.onTheirWay > SEEDS / 2 && sums.again > SEEDS / 2)
})
