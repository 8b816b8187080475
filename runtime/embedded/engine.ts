import { getHeapStatistics } from 'node:v8'
import { foldToSegments } from '../checkpoint/fold-to-segments.ts'
import { formerRuns } from '../checkpoint/former-runs.ts'
import { inherit } from '../checkpoint/inherit.ts'
import { putLayouts, readLayouts } from '../checkpoint/layouts.ts'
import { materialise } from '../checkpoint/materialise.ts'
import { type RunKind, readRun } from '../checkpoint/run-meta.ts'
import { recommitSinks } from '../checkpoint/steps.ts'
import { refuseOwnInput } from '../connectors/own-input.ts'
import type { SourceConnector } from '../connectors/source.ts'
import { MillraceError } from '../errors.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import { planFor, planOfRun } from '../graph/plan-for.ts'
import { shapeOf } from '../graph/shape.ts'
import type { KnownHeads } from '../protocol/log.ts'
import { Topology } from '../stage/topology.ts'
import { Checkpointer } from './checkpointer.ts'
import { commitLimits } from './commit-limits.ts'
import { Exclusive } from './exclusive.ts'
import type { Shared } from './loops.ts'
import { meter } from './meter.ts'
import { openOrRestore } from './open-run.ts'
import { closable } from './open-shards.ts'
import { openEmbedded } from './ports.ts'
import { Report } from './report.ts'
import type { Rescaled } from './rescaled.ts'
import type { RunOptions, RunSummary } from './run-options.ts'
import { Signal } from './signal.ts'
import { sourceTimes } from './source-alignment.ts'
import { bindSources, listSplits, sourceSplits } from './sources.ts'
import { openBackend } from './state-backend.ts'
import { adoptLayouts, closeShards, layoutsFor, type StageShard, unfinishedShards } from './succession.ts'
import { refuseRescaled, refuseThreads } from './threads/refuse.ts'
import { startThreads, type Threads } from './threads/threads.ts'
import { localWorker, type Worker, type WorkerSetting } from './worker.ts'

const CHECKPOINT_MS = 10_000
const heapLimit = getHeapStatistics().heap_size_limit
/** Of the heap that V8 may have: what state may take where nobody says. */
const STATE_MEMORY_SHARE = 1 / 4
/** By how much of the memory given to it state may grow until it is brought to the base, if there is more of it than FULL_TOTAL, and until sources wait for that. */
const FULL = 0.3
const FULL_TOTAL = 0.5
const CONGESTED = 0.6
/** Of the memory given to it, what state takes when splits of one source begin to keep pace. */
const KEEP_PACE = 0.05
/** Records that are on their way get on if there is a commit in this time. */
const ARRIVING_MS = 2_000

/**
 * Runs a pipeline in this process until its input ends or the signal stops it, exactly once; with a state directory, a later run goes on where this one
 * stopped, however it did.
 *
 * @throws MillraceError for a source without a connector, a state directory that doesn't fit, and whatever stops a subtask
 */
export async function runEmbedded(graph: LogicalGraph, options: RunOptions = {}): Promise<RunSummary> {
  const planned = { parallelism: options.parallelism, chaining: options.chaining ?? true }
  const planOf = (found: string | undefined) => planFor(graph, planned, found)
  const connectors = bindSources(planOf(undefined), options.sources)
  if (options.threads !== undefined) refuseThreads(options.threads.count, connectors)
  const splits = await listSplits(connectors)
  const sinks = graph.nodes.flatMap(({ sink }) => (sink ? [[sink.name, options.sinks?.[sink.name] ?? sink.sink] as const] : []))
  refuseOwnInput(connectors, sinks)
  const ports = await openEmbedded({ directory: options.state })
  try {
    const there = ports.directory === undefined ? undefined : await readRun(ports)
    const stateBackend = options.stateBackend ?? graph.options.stateBackend ?? there?.stateBackend
    const kindFor = (found: string | undefined) => {
      const shape = shapeOf(planOf(found))
      return { pipeline: graph.name, shape, splits: Object.fromEntries(splits), stateBackend }
    }
    const topologyOf = (run: string, kind: RunKind, snapshots = true) => {
      // All that comes here has been planned by kindFor.
      const plan = planOfRun(graph, planned, kind.shape)!
      return new Topology(plan, graph.name, run, sourceSplits(plan, splits), {
        sources: options.sources,
        sinks: options.sinks,
        splits,
        snapshots,
        stateBackend: openBackend(kind.stateBackend ?? 'table', stateBudgetOf(options)),
        compression: false,
      })
    }
    const { meta, resumed } = await openOrRestore(ports, options, { kindFor, topologyOf })
    // Also what an earlier process did not get to.
    for (const { run } of await formerRuns(ports)) await ports.forget(run)
    const topology = topologyOf(meta.run, meta, meta.snapshots)
    if (resumed) await recommitSinks(topology, ports)
    const streams = closable(ports.streams)
    await adoptLayouts(topology, ports.log, streams)
    if (options.threads !== undefined) refuseRescaled(topology)
    const shards = await unfinishedShards(topology, ports.log)
    return await new Run(topology, connectors, splits, { ...ports, streams }, options, resumed, shards).run()
  } finally {
    await ports.close()
  }
}

function stateBudgetOf({ stateMemory }: RunOptions): number {
  return stateMemory ?? heapLimit * STATE_MEMORY_SHARE
}

class Run {
  private readonly topology: Topology
  private readonly options: RunOptions
  private readonly workers: Worker[] = []
  private readonly checkpointer: Checkpointer
  private readonly report: Report
  private readonly shared: Shared
  /** Undefined: everything is done in this one. */
  private readonly threads: Threads | undefined
  private readonly setting: WorkerSetting
  /** What each subtask does until the run, or its shard, has ended. */
  private readonly lives: Promise<void>[] = []
  /** Of those that can't begin yet: they take over from others. */
  private readonly waiting = new Map<Worker, Signal>()
  /** Of logs that others take over from: keys stand still meanwhile, so what was read of them before is not read again. */
  private readonly ends: KnownHeads = new Map()
  /** When logs were sealed, epoch ms. */
  private readonly sealedAt = new Map<string, number>()
  private asked: { readonly parallelism: number; readonly answer: PromiseWithResolvers<Rescaled>; begun: boolean } | undefined
  private failure: unknown
  private ending = false
  private stateMemory = 0
  private settled = 0
  private relieving: Promise<void> | undefined
  private readonly folding = new Exclusive()

  constructor(
    topology: Topology,
    connectors: ReadonlyMap<string, SourceConnector>,
    splits: ReadonlyMap<string, readonly string[]>,
    ports: Omit<Awaited<ReturnType<typeof openEmbedded>>, 'streams'> & { readonly streams: ReturnType<typeof closable> },
    options: RunOptions,
    resumed: boolean,
    shards: readonly StageShard[],
  ) {
    this.topology = topology
    this.options = options
    const streams = meter(ports.streams, ports.clock)
    const metered = { ...ports, streams }
    this.shared = {
      ports: metered,
      streams,
      batchSize: options.batchSize,
      startedAt: ports.clock.now(),
      stopping: () => this.stopping,
      ended: () => this.ending || this.failure !== undefined,
      keepOpen: options.keepOpen ?? false,
      congested: () => streams.congested || this.unsettled > CONGESTED * this.stateBudget,
      keepPace: () => this.stateMemory > KEEP_PACE * this.stateBudget,
    }
    const setting: WorkerSetting = {
      topology,
      connectors,
      splits,
      limits: commitLimits(options.batchSize, this.stateBudget, this.shared.ended),
      shared: this.shared,
      sourceTimes: sourceTimes(topology),
      stateBytesMax: () => this.stateBudget / Math.max(this.workers.length, shards.length),
    }
    this.setting = setting
    if (options.threads !== undefined) this.threads = startThreads(options, setting, this.stateBudget, error => this.fail(error))
    for (const shard of shards) this.workers.push(this.workerOf(shard))
    this.checkpointer = new Checkpointer(
      topology,
      metered,
      this.workers,
      this.folding,
      () => this.ending || this.failure !== undefined,
      () => this.stopping,
      this.stateBudget,
    )
    this.report = new Report(topology, this.workers, this.checkpointer, streams, ports.clock, resumed)
  }

  private workerOf({ at, shard }: StageShard): Worker {
    const onCommit = (notable: boolean) => this.onCommit(at.stage.index, notable)
    return this.threads?.worker([at.stage.index, shard], onCommit) ?? localWorker(at, shard, this.setting, onCommit)
  }

  async run(): Promise<RunSummary> {
    try {
      return await this.runWorkers()
    } finally {
      await this.threads?.close()
    }
  }

  private async runWorkers(): Promise<RunSummary> {
    await this.open()
    for (const w of this.workers) this.start(w)
    this.options.onRunning?.({ rescale: parallelism => this.rescale(parallelism) })
    const progress = this.options.onProgress
    const timer = progress === undefined ? undefined : setInterval(() => progress(this.report.progress()), 250)
    const abort = () => this.wakeAll()
    this.options.signal?.addEventListener('abort', abort)
    try {
      await this.supervise()
    } catch (error) {
      this.fail(error)
    } finally {
      clearInterval(timer)
      this.options.signal?.removeEventListener('abort', abort)
    }
    const summary = this.failure === undefined ? this.report.summary(this.outcome) : undefined
    this.ending = true
    this.wakeAll()
    for (const life of this.lives) await life // some may begin meanwhile
    this.asked?.answer.reject(this.tooLate())
    if (summary === undefined) throw this.failure
    if (this.options.onProgress !== undefined) this.options.onProgress(summary)
    return summary
  }

  /** Every subtask as of its last commit. One that can't start leaves none open. */
  private async open(): Promise<void> {
    try {
      const ready = await Promise.allSettled(this.workers.map(w => this.begin(w)))
      const failed = ready.find(r => r.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      this.report.start()
      await this.checkpointer.forget()
    } catch (error) {
      await Promise.allSettled(this.workers.map(w => w.close()))
      throw error
    }
  }

  private start(w: Worker): void {
    this.lives.push(this.live(w).catch(error => this.fail(error)))
  }

  /** From when those that it takes over from have ended until it has ended itself, or the run has. */
  private async live(w: Worker): Promise<void> {
    if (w.view === undefined) {
      const sealed = new Signal()
      this.waiting.set(w, sealed)
      while (!(await this.begin(w))) {
        if (this.shared.ended()) return
        await sealed.wait(1000)
      }
      this.waiting.delete(w)
    }
    if (await w.run()) await this.end(w)
  }

  /** False: not all that it takes over from have ended. */
  private async begin(w: Worker): Promise<boolean> {
    const fold = (shard: number, seal: number) => this.folding.run(() => this.foldUpTo(seal, { at: w.at, shard }))
    if (!(await inherit(this.topology, w.at, w.shard, this.shared.ports, fold, this.ends))) return false
    await w.open()
    return true
  }

  /** Its log is sealed: others go on for it. */
  private async end(w: Worker): Promise<void> {
    const { stage } = w.at
    const { children } = this.topology.shard(stage.index, w.shard)
    this.sealedAt.set(w.log, this.shared.ports.clock.now())
    const end = w.view!.fields.position.seq
    this.report.ended(w, this.topology.log(stage.index, children![0]!))
    this.workers.splice(this.workers.indexOf(w), 1)
    for (const waiting of this.waiting.values()) waiting.announce()
    await w.close()
    if (end !== '') await this.shared.streams.trim(this.topology.stream(stage.index), w.shard, end)
  }

  private rescale(parallelism: number): Promise<Rescaled> {
    if (this.asked !== undefined)
      return Promise.reject(new MillraceError('this run is being rescaled already: wait for that to end'))
    const answer = Promise.withResolvers<Rescaled>()
    this.asked = { parallelism, answer, begun: false }
    answer.promise.catch(() => {}).finally(() => (this.asked = undefined))
    this.report.changed.announce()
    return answer.promise
  }

  private tooLate(): MillraceError {
    return new MillraceError('the run has ended before it was rescaled', { cause: this.failure })
  }

  /** Between two checkpoints, so that none of them has its barriers in shards that are closed. */
  private async splitAndMerge({ parallelism, answer }: NonNullable<Run['asked']>): Promise<void> {
    const { ports, streams } = this.shared
    let layouts: ReturnType<typeof layoutsFor>
    try {
      if (this.threads !== undefined)
        throw new MillraceError("a run in threads can't be rescaled while it runs: leave threads out")
      layouts = layoutsFor(this.topology, parallelism, this.options.chaining ?? true)
    } catch (error) {
      answer.reject(error)
      return
    }
    // What is in the base then need not be brought there while keys stand still. Twice: the second time there is only what came during the first.
    for (let times = 0; layouts.length > 0 && times < 2; times++) await this.relieve()
    const stages = layouts.map(([stage, layout]) => ({
      id: this.topology.stages[stage]!.stage.id,
      from: this.topology.parallelism(stage),
      to: layout.filter(s => s.children === undefined).length,
    }))
    const closedAt = ports.clock.now()
    for (const [stage, layout] of layouts) closeShards(this.topology, stage, layout, streams)
    if (layouts.length > 0)
      await putLayouts(ports.log, this.topology.run, layouts, await readLayouts(ports.log, this.topology.run))
    const added = layouts.flatMap(([stage, layout]) => {
      const known = this.topology.layout(stage).length
      this.topology.adopt(stage, layout)
      return layout.slice(known).map(({ shard }) => this.workerOf({ at: this.topology.stages[stage]!, shard }))
    })
    this.workers.push(...added)
    for (const w of this.workers) w.announce()
    const begun = added.map(w => this.pauseOf(w, closedAt))
    for (const w of added) this.start(w)
    Promise.all(begun).then(pauses => answer.resolve({ stages, ...summed(pauses) }), answer.reject)
  }

  /** Resolves when it has begun. */
  private async pauseOf(w: Worker, closedAt: number): Promise<{ readonly pauseMs: number; readonly drainMs: number }> {
    while (w.view === undefined) {
      if (this.shared.ended()) throw this.tooLate()
      await this.shared.ports.clock.sleep(1)
    }
    const now = this.shared.ports.clock.now()
    const { parents } = this.topology.shard(w.at.stage.index, w.shard)
    const sealed = parents.map(p => this.sealedAt.get(this.topology.log(w.at.stage.index, p)) ?? now)
    return { pauseMs: now - Math.min(...sealed), drainMs: Math.max(...sealed) - closedAt }
  }

  /** Checkpoints at their interval, or when state has to leave memory, until the input is through or somebody stops the run; then the last one. */
  private async supervise(): Promise<void> {
    const interval = this.options.checkpointMs ?? CHECKPOINT_MS
    let next = this.shared.ports.clock.now() + interval
    while (!this.finished && !this.readToEnd && !this.stopping && this.failure === undefined) {
      await this.report.changed.wait(Math.max(1, Math.min(100, next - this.shared.ports.clock.now())))
      if (this.asked !== undefined && !this.asked.begun) {
        this.asked.begun = true
        await this.splitAndMerge(this.asked)
      }
      const now = this.shared.ports.clock.now()
      const full = this.unsettled > FULL * this.stateBudget && this.stateMemory > FULL_TOTAL * this.stateBudget
      if (now < next && !full) continue
      if ((!full && !this.checkpointer.somethingNew) || (await this.checkpointer.run(full ? 'all' : 'worthwhile')))
        await this.settle(full)
      next = this.shared.ports.clock.now() + interval
    }
    if (this.stopping) await this.arrived()
    if (this.failure !== undefined || !this.checkpointer.somethingNew) return
    const ended = this.finished || this.readToEnd
    if (!(await this.lastCheckpoint()) && ended && this.failure === undefined) {
      throw new MillraceError(
        'the last checkpoint failed, so the sinks lack what came since the one before: run again to go on from there',
      )
    }
  }

  /**
   * Until what the sources have sent has come to its end, as long as it gets less: then the last checkpoint has nothing that is on its way, which another plan may have no place for
   * (checkpoint/divide/channels.ts). That there are commits says nothing: timers that set themselves again make some for ever.
   */
  private async arrived(): Promise<void> {
    const { clock } = this.shared.ports
    const backlog = () => (this.failure === undefined ? this.shared.streams.backlogBytes : 0)
    let least = Number.POSITIVE_INFINITY
    while (backlog() > 0 && backlog() < least) {
      least = backlog()
      const until = clock.now() + ARRIVING_MS
      while (backlog() > 0 && clock.now() < until) await this.report.changed.wait(10)
    }
  }

  /**
   * Of an input that is kept open much may still be on its way to later stages. As long as they get on, a checkpoint that took too long is tried again. Behind one that has overtaken records comes another: when the first
   * is complete, they have been consumed, and what came of them is a stage further each time.
   */
  private async lastCheckpoint(): Promise<boolean> {
    for (let left = this.topology.stages.length; ; ) {
      const before = this.commits
      const complete = await this.checkpointer.run(this.topology.snapshots ? 'worthwhile' : 'none')
      if (!this.readToEnd || this.stopping || this.failure !== undefined) return complete
      if (complete && (--left === 0 || !(await this.checkpointer.overtook()))) return true
      if (!complete && this.commits === before) return false
    }
  }

  private get outcome(): RunSummary['outcome'] {
    if (this.finished) return 'finished'
    return this.readToEnd && !this.stopping ? 'kept open' : 'stopped'
  }

  /** The input is kept open, and all that there is of it has been read. */
  private get readToEnd(): boolean {
    return this.shared.keepOpen && this.workers.every(w => w.readToEnd)
  }

  /** Every subtask has committed the end of its input, with all that it fired. */
  private get finished(): boolean {
    return this.workers.every(w => {
      const fields = w.view?.fields
      return fields !== undefined && fields.watermark === Number.POSITIVE_INFINITY && fields.firing.length === 0
    })
  }

  private get stopping(): boolean {
    return this.options.signal?.aborted ?? false
  }

  private commits = 0

  private onCommit(stage: number, notable: boolean): void | Promise<void> {
    this.checkpointer.committed(notable)
    this.report.changed.announce()
    for (const consumer of this.topology.consumersOf(stage)) {
      for (const w of this.workers) if (w.at.stage.index === consumer) w.announce()
    }
    if (++this.commits % 16 === 0) this.measureState()
    if (this.unsettled > CONGESTED * this.stateBudget) return this.relieve()
  }

  /**
   * State grows though sources wait: a large window fires, say, and no barrier gets past it. What is committed can go to the base all the same: a fold
   * may end anywhere in the log, and only retention goes by cuts.
   */
  private relieve(): Promise<void> {
    this.relieving ??= this.fold().finally(() => {
      this.relieving = undefined
    })
    return this.relieving
  }

  private async fold(): Promise<void> {
    for (const w of [...this.workers]) {
      await this.folding.run(async () => {
        const version = w.view?.version
        if (version === undefined) return
        await this.foldUpTo(version, w)
        w.materialised(version)
      })
    }
    await this.settle(true)
  }

  private async foldUpTo(version: number, { at, shard }: StageShard): Promise<void> {
    const { ports } = this.shared
    if (this.topology.stateBackend.kind === 'segments') {
      // By this number the retention of a checkpoint that is under way leaves its segments alone; that of the next one, which folds after this, knows them by the marker.
      await foldToSegments(this.topology, at, shard, version, ports, { checkpoint: this.checkpointer.begun + 1 })
      return
    }
    await materialise(this.topology, at, shard, version, ports, { exclusive: true })
  }

  /** After a checkpoint: what is in the base leaves memory. `toBase`: all was brought there, so that no checkpoint can help with what then remains. */
  private async settle(toBase: boolean): Promise<void> {
    await Promise.all(this.workers.map(w => w.relieve()))
    this.measureState()
    if (toBase) this.settled = this.stateMemory
    for (const w of this.workers) w.announce()
  }

  /** Bytes of state that have come since the last checkpoint. */
  private get unsettled(): number {
    return this.stateMemory - this.settled
  }

  private get stateBudget(): number {
    return stateBudgetOf(this.options)
  }

  private measureState(): void {
    this.stateMemory = this.workers.reduce((sum, w) => sum + (w.view?.stateBytes ?? 0), 0)
  }

  private fail(error: unknown): void {
    this.failure ??= error ?? new Error('a subtask failed')
    this.wakeAll()
  }

  private wakeAll(): void {
    this.threads?.refresh()
    for (const w of this.workers) w.announce()
    for (const waiting of this.waiting.values()) waiting.announce()
    this.report.changed.announce()
    this.checkpointer.committed(false)
  }
}

function summed(pauses: readonly { readonly pauseMs: number; readonly drainMs: number }[]): Omit<Rescaled, 'stages'> {
  const mean = pauses.reduce((sum, { pauseMs }) => sum + pauseMs, 0) / Math.max(1, pauses.length)
  return {
    pauseMsMax: Math.max(0, ...pauses.map(p => p.pauseMs)),
    pauseMsMean: mean,
    drainMsMax: Math.max(0, ...pauses.map(p => p.drainMs)),
  }
}
