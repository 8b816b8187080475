import type { Clock } from '../ports.ts'
import { type Counts, countsOf, emptyHead, sumOf } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import type { Checkpointer } from './checkpointer.ts'
import type { MeteredStreams } from './meter.ts'
import type { EndedSplit, Progress, RunSummary, RunTotals } from './run-options.ts'
import { Signal } from './signal.ts'
import type { Worker } from './worker.ts'

/** What a run says of itself, read off its subtasks. */
export class Report {
  readonly changed = new Signal()
  private readonly topology: Topology
  private readonly workers: readonly Worker[]
  private readonly checkpointer: Checkpointer
  private readonly streams: MeteredStreams
  private readonly clock: Clock
  private readonly resumed: boolean
  private readonly startedAt: number
  /** Counts as this process found them: its own are beyond. */
  private readonly before = new Map<string, Counts>()
  private readonly endedBefore: EndedSplit[] = []
  private readonly lastSeen = new Map<string, Counts>()
  /** Of subtasks that have ended. */
  private readonly sinksBefore: (readonly [name: string, records: number])[] = []

  constructor(
    topology: Topology,
    workers: readonly Worker[],
    checkpointer: Checkpointer,
    streams: MeteredStreams,
    clock: Clock,
    resumed: boolean,
  ) {
    this.topology = topology
    this.workers = workers
    this.checkpointer = checkpointer
    this.streams = streams
    this.clock = clock
    this.resumed = resumed
    this.startedAt = clock.now()
  }

  start(): void {
    for (const w of this.workers) {
      const fields = w.view?.fields
      this.before.set(w.log, fields?.counts ?? emptyHead.counts)
      const source = w.at.stage.source?.source?.name
      if (source === undefined || !fields?.sourceDone) continue
      this.endedBefore.push({ source, split: this.topology.splitOf(source, w.shard), position: fields.source })
    }
  }

  progress(): Progress {
    let watermark = Number.POSITIVE_INFINITY
    for (const w of this.workers) watermark = Math.min(watermark, w.view?.fields.watermark ?? Number.NEGATIVE_INFINITY)
    const { completed, failed, last } = this.checkpointer
    return {
      ...this.totals(w => this.since(w)),
      watermark,
      backlogBytes: this.streams.backlogBytes,
      checkpoints: { completed, failed, last },
      elapsedMs: this.clock.now() - this.startedAt,
    }
  }

  summary(outcome: RunSummary['outcome']): RunSummary {
    const stages = this.topology.stages.map(at => {
      const mine = this.workers.filter(w => w.at === at).map(w => this.since(w))
      const total = (field: keyof Counts) => mine.reduce((n, c) => n + c[field], 0)
      return {
        id: at.stage.id,
        subtasks: this.topology.parallelism(at.stage.index),
        commits: total('commits'),
        recordsIn: total('recordsIn'),
        recordsOut: total('recordsOut'),
      }
    })
    const sinks: Record<string, number> = {}
    for (const [name, records] of [...this.sinksBefore, ...this.workers.flatMap(w => w.view?.sinks ?? [])])
      sinks[name] = (sinks[name] ?? 0) + records
    const { pipeline, run } = this.topology
    const { endedBefore } = this
    const nothingToRead = this.workers.filter(w => w.at.stage.source !== undefined).length === endedBefore.length
    const firstDeadLetter = this.workers.find(w => w.view?.firstDeadLetter !== undefined)?.view?.firstDeadLetter
    return {
      ...this.progress(),
      firstDeadLetter,
      outcome,
      pipeline,
      run,
      resumed: this.resumed,
      total: this.totals(w => this.now(w)),
      endedBefore,
      nothingToRead,
      stages,
      sinks,
    }
  }

  /** A subtask has ended: its counts go on in the log of `heir`, the first of those that took over. */
  ended(worker: Worker, heir: string): void {
    const add = (to: Map<string, Counts>, counts: Counts | undefined) => {
      if (counts !== undefined) to.set(heir, sumOf([to.get(heir) ?? emptyHead.counts, counts]))
    }
    add(this.lastSeen, this.now(worker))
    add(this.before, this.before.get(worker.log))
    this.sinksBefore.push(...(worker.view?.sinks ?? []).map(([name, records]) => [name, records] as const))
  }

  private totals(of: (worker: Worker) => Counts): RunTotals {
    const sum = { events: 0, deadLetters: 0, late: 0, results: 0 }
    for (const w of this.workers) {
      const counts = of(w)
      if (w.at.stage.source !== undefined) sum.events += counts.recordsIn
      sum.deadLetters += counts.deadLetters
      sum.late += counts.late
      sum.results += counts.results
    }
    return sum
  }

  private now(worker: Worker): Counts {
    const now = worker.view?.fields.counts ?? this.lastSeen.get(worker.log) ?? emptyHead.counts
    this.lastSeen.set(worker.log, now)
    return now
  }

  private since(worker: Worker): Counts {
    const now = this.now(worker)
    const before = this.before.get(worker.log) ?? emptyHead.counts
    return countsOf(field => now[field] - before[field])
  }
}
