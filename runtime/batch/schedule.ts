import { rmSync } from 'node:fs'
import type { Topology } from '../stage/topology.ts'
import type { Executor } from './executor.ts'
import type { Prepared } from './job.ts'
import { readJson } from './json-file.ts'
import type { SpilledRuns } from './merge.ts'
import type { StageProgress } from './options.ts'
import type { Task, TaskResult } from './task.ts'

interface StageState {
  readonly index: number
  readonly results: (TaskResult | undefined)[]
  /** Of each task: bytes or records that it has to read. Known when the stage begins. */
  weights: readonly number[]
  /** Tasks that nobody has begun. */
  waiting: number[]
  readonly running: Map<number, { fraction: number; records: number }>
  begunAt: number | undefined
  /** What was done before this process, as a part of it all. */
  before: number
}

/** Which task comes when: those of a stage, side by side, when all the stages before it are through. */
export class Schedule {
  private readonly prepared: Prepared
  private readonly topology: Topology
  private readonly stages: StageState[]

  constructor(prepared: Prepared) {
    this.prepared = prepared
    this.topology = prepared.topology()
    this.stages = this.topology.stages.map(({ stage, parallelism }) => {
      const results = Array.from({ length: parallelism }, (_, shard) =>
        readJson<TaskResult>(prepared.files.done(stage.index, shard)),
      )
      return { index: stage.index, results, weights: [], waiting: [], running: new Map(), begunAt: undefined, before: 0 }
    })
  }

  /** True: an earlier process has finished some of it. */
  get resumed(): boolean {
    return this.stages.some(s => s.results.some(r => r !== undefined))
  }

  /** By stage, then by subtask: undefined as long as it is not done. */
  get results(): readonly (readonly (TaskResult | undefined)[])[] {
    return this.stages.map(s => s.results)
  }

  /** All that is left to do. When it rejects, with the first failure or because the signal has come, nothing is under way any more. */
  async run(executor: Executor, signal: AbortSignal | undefined): Promise<void> {
    const running = new Set<Promise<void>>()
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    aborted.catch(() => {}) // it may come when nobody waits any more
    try {
      for (;;) {
        signal?.throwIfAborted()
        this.fill(running, executor)
        if (running.size === 0) return
        await Promise.race([aborted, ...running])
      }
    } catch (error) {
      await executor.close()
      await Promise.allSettled(running)
      throw error
    }
  }

  private fill(running: Set<Promise<void>>, executor: Executor): void {
    for (const s of this.stages) if (s.begunAt === undefined && this.isReady(s)) this.begin(s)
    while (running.size < executor.slots) {
      const state = this.stages.find(s => s.waiting.length > 0)
      if (state === undefined) return
      const one = this.runOne(state, state.waiting.shift()!, executor).finally(() => running.delete(one))
      running.add(one)
    }
  }

  progress(now: number): StageProgress[] {
    return this.stages.map(s => {
      const done = s.results.filter(r => r !== undefined)
      const records = done.reduce((sum, r) => sum + r.counts.recordsIn, 0) + sum([...s.running.values()].map(r => r.records))
      const fraction = this.fraction(s)
      const gained = fraction - s.before
      const elapsed = s.begunAt === undefined ? 0 : now - s.begunAt
      const leftMs = fraction === 1 ? 0 : gained > 0 && elapsed > 0 ? (elapsed * (1 - fraction)) / gained : undefined
      const { id } = this.topology.plan.stages[s.index]!
      return { id, tasks: s.results.length, done: done.length, running: s.running.size, fraction, records, leftMs }
    })
  }

  private fraction(s: StageState): number {
    if (s.results.every(r => r !== undefined)) return 1
    const total = sum(s.weights)
    if (total === 0) return 0
    const done = s.weights.reduce((n, w, i) => n + (s.results[i] === undefined ? (s.running.get(i)?.fraction ?? 0) * w : w), 0)
    return Math.min(done / total, 1)
  }

  private isReady({ index }: StageState): boolean {
    return this.upstreamOf(index).every(s => s.results.every(r => r !== undefined))
  }

  private upstreamOf(index: number): StageState[] {
    const from = new Set(this.topology.plan.stages[index]!.inputs.map(e => e.fromStage))
    return this.stages.filter(s => from.has(s.index))
  }

  private begin(s: StageState): void {
    s.begunAt = Date.now()
    const { source } = this.topology.plan.stages[s.index]!
    s.weights =
      source === undefined
        ? s.results.map((_, shard) => this.inputsOf(s.index, shard).reduce((n, { runs }) => n + sum(runs.map(r => r.records)), 1))
        : (this.prepared.job.pieces[source.source!.name] ?? []).map(p => p.bytes)
    s.waiting = [...s.results.keys()].filter(shard => s.results[shard] === undefined)
    s.before = this.fraction(s)
  }

  private async runOne(s: StageState, shard: number, executor: Executor): Promise<void> {
    const at = { fraction: 0, records: 0 }
    s.running.set(shard, at)
    const task: Task = { stage: s.index, shard, inputs: this.inputsOf(s.index, shard) }
    try {
      s.results[shard] = await executor.run(task, (fraction, records) => Object.assign(at, { fraction, records }))
    } finally {
      s.running.delete(shard)
    }
    if (s.results.every(r => r !== undefined)) this.forgetInputs(s)
  }

  private inputsOf(stage: number, shard: number): SpilledRuns[] {
    return this.upstreamOf(stage).flatMap(({ index, results }) =>
      results.flatMap((result, from) => {
        const runs = result!.outputs[stage]?.[shard] ?? []
        return runs.length === 0 ? [] : [{ path: this.prepared.files.spill(index, from), runs }]
      }),
    )
  }

  /** What nobody reads any more goes. */
  private forgetInputs(done: StageState): void {
    for (const up of this.upstreamOf(done.index)) {
      const consumers = this.topology.consumersOf(up.index).map(i => this.stages[i]!)
      if (!consumers.every(s => s.results.every(r => r !== undefined))) continue
      for (const shard of up.results.keys()) rmSync(this.prepared.files.spill(up.index, shard), { force: true })
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0)
}
