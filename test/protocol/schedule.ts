import assert from 'node:assert/strict'
import type { Manifest } from '../../runtime/checkpoint/manifest.ts'
import { materialisePart } from '../../runtime/checkpoint/snapshot.ts'
import { type CheckpointStart, startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts, completeCheckpoint } from '../../runtime/checkpoint/steps.ts'
import { batch, type Harness } from '../engine/harness.ts'
import { type Entry, entries } from '../engine/ledger.ts'

const INPUT = 60
/** Each split has users of its own, so that what comes out does not depend on how the two interleave. */
const SPLITS: Entry[][] = [0, 1].map(split =>
  entries(INPUT).map(e => ({ ...e, user: `${split}${e.user}`, at: e.at + split * 300 })),
)
const LIMITS = { recordsMax: 4, timersMax: 3 }

/** Two checkpoints of three keep what was logged, if it isn't too much. */
const DEFER = { bytesMax: 2_000, checkpointsMax: 2 }

type Random = () => number

/** Everything in a random order: sources read a little, stages are delivered a little, in environments that are cold now and then. */
export class Schedule {
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

/** Where each log ends that the checkpoint's run leaves to another one. */
export const cutsOf = (manifest: Manifest) => new Map(manifest.subtasks.map(s => [s.log, s.version]))
export const sorted = (rows: readonly unknown[]) => rows.map(r => JSON.stringify(r)).sort()
