import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { materialiseHandler } from '../../runtime/aws/functions/materialise.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { decisionOf } from '../../runtime/checkpoint/decision.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Ports, StreamRecord } from '../../runtime/ports.ts'
import { seeded } from '../engine/events.ts'
import { faulty, Lost } from '../engine/harness.ts'
import { expected, sorted } from './embedded-run.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { crowds, generate, visits } from './visits.ts'
import { context, environment, eventOf, FOLD_SOON, shardId } from './world.ts'

const SOURCES = 2
const input = generate(240, SOURCES)
const SEEDS = Number(process.env.RESHARD_SEEDS ?? 6)
const FIRST = Number(process.env.RESHARD_FIRST ?? 1)
const STEPS = 220
/** Longer than any function lives: who is waited for is dead. */
const DEAD_MS = 600_000

type Handler = (event: any, context: any) => Promise<any>

/** Functions whose environments come and go, mappings that deliver again, calls that fail, and somebody who splits and merges the streams between stages. */
class Schedule {
  readonly world: EmbeddedWorld
  readonly random: () => number
  faults: number
  /** Lambda delivers parents to their end first; LocalStack does not. */
  private readonly anyOrder: boolean
  private readonly warm = new Map<string, Handler[]>()
  /** By stream and shard, the position up to which it was delivered. */
  private readonly through = new Map<string, string>()
  private readonly sent: { stream: string; shard: number; data: Uint8Array }[] = []
  private late = 0
  private started: StartedCheckpoint | undefined
  changes = 0
  completed = 0
  failed = 0

  constructor(world: EmbeddedWorld, seed: number) {
    this.world = world
    this.random = seeded(seed)
    this.faults = seed % 3 === 0 ? 0 : 0.006
    this.anyOrder = seed % 4 === 1
  }

  pick(n: number): number {
    return Math.floor(this.random() * n)
  }

  /** Time passes when somebody waits; whose time is up never hears of it. */
  private get ports(): Ports {
    const { ports } = this.world
    const clock = {
      now: () => Date.now() + this.late,
      sleep: async (ms: number, signal?: AbortSignal) => {
        if (signal !== undefined) return new Promise<void>(() => {})
        this.late += ms
      },
    }
    const streams = {
      ...ports.streams,
      put: async (stream: string, shard: number, data: Uint8Array) => {
        this.sent.push({ stream, shard, data })
        return ports.streams.put(stream, shard, data)
      },
    }
    const fault = () => {
      if (this.random() < this.faults) throw new Lost()
    }
    return faulty({ ...ports, clock, streams }, fault)
  }

  private cold(stage: string | undefined) {
    const back = (deadline: () => number | undefined) => ({ ...this.world.back(deadline), ports: this.ports })
    return environment(this.world, stage, back)
  }

  /** One of the environments of a stage's function: some know less than others. */
  private handlerOf(stage: string): Handler {
    const all = this.warm.get(stage) ?? []
    this.warm.set(stage, all)
    if (all.length > 0 && this.random() < 0.85) return all[this.pick(all.length)]!
    const made = stageHandler(this.cold(stage)) as Handler
    if (all.length > 2) all.splice(this.pick(all.length), 1)
    all.push(made)
    return made
  }

  /** What a function throws, or what its environment dies of, has the batch come again. */
  private async called<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Lost)) throw error
      return undefined
    }
  }

  forgetAll(): void {
    this.warm.clear()
    this.late += DEAD_MS
  }

  shards(): { stage: number; stream: string; shard: number }[] {
    const { topology, between } = this.world
    return topology.stages.flatMap(({ stage }) => {
      const stream = stage.source === undefined ? topology.stream(stage.index) : 'users-own'
      const count = stage.source === undefined ? between.shards(stream).length : SOURCES
      return Array.from({ length: count }, (_, shard) => ({ stage: stage.index, stream, shard }))
    })
  }

  private async left(stream: string, shard: number, limit: number): Promise<StreamRecord[]> {
    return this.world.poll(stream, shard, this.through.get(`${stream}/${shard}`), limit)
  }

  /** Whether a mapping would deliver a shard: what came of others waits until those are through. */
  private async isDue(stream: string, shard: number): Promise<boolean> {
    if (this.anyOrder || stream === 'users-own') return true
    const shards = this.world.between.shards(stream)
    const { first, last } = shards[shard]!
    for (const [i, other] of shards.slice(0, shard).entries())
      if (other.first <= last && first <= other.last && (await this.left(stream, i, 1)).length > 0) return false
    return true
  }

  async deliver({ stage, stream, shard }: { stage: number; stream: string; shard: number }): Promise<boolean> {
    if (!(await this.isDue(stream, shard))) return false
    const again = this.faults > 0 && this.random() < 0.1
    const limit = 1 + this.pick(this.faults > 0 ? 12 : 60)
    const records = again ? await this.world.poll(stream, shard, undefined, limit) : await this.left(stream, shard, limit)
    if (records.length === 0) return false
    const { id } = this.world.topology.stages[stage]!.stage
    const answer = await this.called(() => this.handlerOf(id)(eventOf(records, shardId(shard)), context()))
    if (answer === undefined || again) return false
    const failed = answer.batchItemFailures[0]?.itemIdentifier
    const end = failed === undefined ? records.length : records.findIndex(r => BigInt(r.seq) === BigInt(failed))
    if (end > 0) this.through.set(`${stream}/${shard}`, records[end - 1]!.seq)
    return end > 0
  }

  /** A frame comes again, at whoever has its key groups by now. */
  async again(): Promise<void> {
    const frame = this.sent[this.pick(this.sent.length)]
    if (frame !== undefined) await this.world.ports.streams.put(frame.stream, frame.shard, frame.data).catch(() => {})
  }

  reshard(): void {
    const { topology, between } = this.world
    const stream = topology.stream(1 + this.pick(2))
    const open = between.shards(stream).flatMap(({ closed }, i) => (closed ? [] : [i]))
    const shard = open[this.pick(open.length)]!
    if (open.length < 5 && this.random() < 0.6) between.split(stream, shard, 0.25 + this.random() / 2)
    else if (open.length > 1 && between.shards(stream)[shard]!.last + 1n < 1n << 128n) between.merge(stream, shard)
    else return
    this.changes++
  }

  /** The next steps of the state machine. False: nothing flowed since the last checkpoint. */
  async control(): Promise<boolean> {
    const controller = checkpointHandler(this.cold(undefined)) as Handler
    if (this.started === undefined) {
      const started = await this.called(() => controller({ step: 'start' }, context()))
      if (started === undefined) return true
      if ('nothing' in started) return false
      this.started = JSON.parse(JSON.stringify(started)) as StartedCheckpoint
    }
    const start = this.started
    for (const { stage, shards } of start.sources)
      await this.called(() => cutHandler(this.cold(stage))({ shards, checkpoint: start.checkpoint }, context()))
    const collected = await this.called(() => controller({ step: 'collect', start }, context()))
    if (collected === undefined) return true
    if (collected.never !== undefined) await this.called(() => controller({ step: 'fail', start, ...collected }, context()))
    else if (collected.parts !== undefined) await this.complete(start, collected.parts, controller)
    const decision = await decisionOf(this.world.ports.log, this.world.topology.run, start.checkpoint)
    if (decision === undefined) return true
    this.started = undefined
    if (decision.outcome === 'complete') this.completed++
    else this.failed++
    return true
  }

  /** Whatever goes wrong in it is a failed checkpoint. */
  private async complete(start: StartedCheckpoint, parts: any[], controller: Handler): Promise<void> {
    try {
      const materialised = []
      for (const part of parts)
        materialised.push(await materialiseHandler(this.cold(undefined), FOLD_SOON)({ start, part }, context()))
      await controller({ step: 'complete', start, materialised }, context())
    } catch (error) {
      await this.called(() => controller({ step: 'fail', start, reason: (error as Error).message }, context()))
    }
  }

  get isUnderWay(): boolean {
    return this.started !== undefined
  }

  /** All that is on its way gets through: nothing fails any more. */
  async settle(): Promise<void> {
    this.faults = 0
    this.forgetAll()
    for (let round = 0; ; round++) {
      assert.ok(round < 300, 'it gets through')
      let progressed = false
      for (const s of this.shards()) if (await this.deliver(s)) progressed = true
      if (progressed) continue
      const left = await Promise.all(this.shards().map(s => this.left(s.stream, s.shard, 1)))
      if (left.every(records => records.length === 0)) return
      this.forgetAll() // a frame that its producer never decided
    }
  }
}

async function life(app: Pipeline, undisturbed: readonly string[], seed: number): Promise<Schedule> {
  const world = await embeddedWorld(app, input, 2)
  const schedule = new Schedule(world, seed)
  for (let step = 0; step < STEPS; step++) {
    const dice = schedule.random()
    if (dice < 0.05) schedule.reshard()
    else if (dice < 0.09) await schedule.control()
    else if (dice < 0.11 && schedule.faults > 0) await schedule.again()
    else {
      const shards = schedule.shards()
      await schedule.deliver(shards[schedule.pick(shards.length)]!)
    }
  }
  await schedule.settle()
  for (let round = 0; schedule.isUnderWay; round++) {
    assert.ok(round < 20, `seed ${seed}: the checkpoint that is under way is decided`)
    await schedule.control()
    await schedule.settle()
  }
  for (let round = 0; await schedule.control(); round++) {
    assert.ok(round < 20, `seed ${seed}: all is in a checkpoint`)
    await schedule.settle()
  }
  assert.deepEqual(sorted(await world.rows('pages')), undisturbed, `seed ${seed}`)
  return schedule
}

async function lives(t: TestContext, app: () => Pipeline, seeds: number): Promise<void> {
  t.mock.method(console, 'warn', () => {})
  t.mock.method(console, 'info', () => {})
  const { pages } = await expected(app(), input, SOURCES)
  assert.ok(pages.length > 10)
  const sums = { changes: 0, completed: 0, failed: 0 }
  for (let seed = FIRST; seed < FIRST + seeds; seed++) {
    const { changes, completed, failed } = await life(app(), pages, seed)
    sums.changes += changes
    sums.completed += completed
    sums.failed += failed
  }
  t.diagnostic(`${sums.changes} changes of shards, ${sums.completed} checkpoints, ${sums.failed} that failed`)
  assert.ok(sums.changes > seeds && sums.completed > seeds)
}

describe('streams between stages that are split and merged while functions die, batches come again and calls fail', () => {
  test('results are those of an undisturbed run (F1–F3, D5)', t => lives(t, visits, SEEDS))

  test('also of a stage with broadcast state: a child begins with a copy of it', t => lives(t, crowds, SEEDS / 2))
})
