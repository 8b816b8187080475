import { headAt, type Part } from '../checkpoint/cut.ts'
import { decide, decisions } from '../checkpoint/decision.ts'
import { readMarker } from '../checkpoint/marker.ts'
import { sweepTombstones } from '../checkpoint/materialise.ts'
import { type MaterialisedPart, materialisePart } from '../checkpoint/snapshot.ts'
import { type CheckpointStart, startCheckpoint } from '../checkpoint/start.ts'
import { collectParts, completeCheckpoint, failCheckpoint } from '../checkpoint/steps.ts'
import type { Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import type { Exclusive } from './exclusive.ts'
import { hasRecordsOnTheirWay } from './on-its-way.ts'
import { breathe, Signal } from './signal.ts'
import type { Worker } from './worker.ts'

/** A checkpoint that is not through after this has failed, ms. */
const TIMEOUT_MS = 120_000
/** The same when the run is to stop: a subtask that fires timers without end, say, does not hold it up. */
const STOPPING_TIMEOUT_MS = 20_000

/** Bytes as logged, of which a cold start replays some 5 MB in a second: a fold costs several times that for each change that is left of them. */
const FOLD_LIMITS = { bytesMax: 64 * 1024 * 1024, checkpointsMax: 64 }

/** Of the memory for state, for each entry that is held while it is folded: a few hundred bytes each, so that all of them take a third of it or so. */
const BYTES_PER_ITEM = 1024
const ITEMS_MIN = 20_000
/** Their keys are sorted in one go, in which nothing else is done. */
const ITEMS_MAX = 1_000_000

/**
 * What a checkpoint brings to the base: all state, so that it may leave memory; or only where it has become worth it; or none, as nobody will read it: the last one of a run
 * whose state ends with the process.
 */
export type Folding = 'all' | 'worthwhile' | 'none'

/** Drives the controller's steps in this process, in the order in which the state machine calls them on AWS. */
export class Checkpointer {
  completed = 0
  failed = 0
  last = 0
  /** The newest that was begun. */
  begun = 0
  /** Of the last complete one. */
  private parts: readonly Part[] = []
  private readonly topology: Topology
  private readonly ports: Ports
  private readonly workers: readonly Worker[]
  private readonly folding: Exclusive
  private readonly ended: () => boolean
  private readonly stopping: () => boolean
  /** What comes and goes among so many is never written. */
  private readonly itemsMax: number
  private readonly progress = new Signal()
  /** Notable ones, and as they were when the last complete checkpoint began. */
  private commits = 0
  private commitsAtLast = -1

  constructor(
    topology: Topology,
    ports: Ports,
    workers: readonly Worker[],
    folding: Exclusive,
    ended: () => boolean,
    stopping: () => boolean,
    stateBudget: number,
  ) {
    this.stopping = stopping
    this.itemsMax = Math.max(ITEMS_MIN, Math.min(ITEMS_MAX, Math.floor(stateBudget / BYTES_PER_ITEM)))
    this.folding = folding
    this.topology = topology
    this.ports = ports
    this.workers = workers
    this.ended = ended
  }

  /** Told of every commit: the hint that an ack may be in. `notable`: there was more in it than watermarks and barriers. */
  committed(notable: boolean): void {
    if (notable) this.commits++
    this.progress.announce()
  }

  /** Nothing is done when nothing flowed since the last one. */
  get somethingNew(): boolean {
    return this.commits !== this.commitsAtLast
  }

  /** A checkpoint that an earlier process began and did not decide was interrupted, and never will be complete: sources refuse its number now (D3). */
  async forget(): Promise<void> {
    const all = await decisions(this.ports.log, this.topology.run)
    const decided = all.at(-1)
    this.last = all.findLast(d => d.decision.outcome === 'complete')?.checkpoint ?? 0
    const begun = Math.max(0, decided?.checkpoint ?? 0, ...this.workers.map(w => w.view?.fields.lastCut ?? 0))
    this.begun = begun
    for (let n = (decided?.checkpoint ?? 0) + 1; n <= begun; n++) {
      const now = this.ports.clock.now()
      const reason = 'the process ended before it was complete; the next run went on from the commits it had made'
      await decide(this.ports.log, this.topology.run, n, {
        outcome: 'interrupted',
        startedAt: now,
        decidedAt: now,
        bytes: 0,
        reason,
      })
    }
  }

  /**
   * One checkpoint, from the cuts of the sources to retention. False: it failed, and the one before stands.
   */
  async run(fold: Folding): Promise<boolean> {
    const before = this.commits
    const start = await startCheckpoint(this.topology, this.ports)
    this.begun = start.checkpoint
    for (const w of this.workers) w.requestCut(start.checkpoint)
    const parts = await this.acks(start)
    if (parts === undefined) {
      this.failed++
      return false
    }
    const materialised: MaterialisedPart[] = []
    for (const part of parts) {
      // Where memory is short, no more of it is taken.
      const options = fold === 'all' ? { exclusive: true } : { exclusive: true, defer: FOLD_LIMITS, itemsMax: this.itemsMax }
      const work = () => materialisePart(this.topology, start, part, this.ports, options)
      const done = fold === 'none' ? await unfolded(part, this.ports) : await this.folding.run(work)
      materialised.push(done)
      await sweepTombstones(this.ports.store, done)
      if (done.to === part.version) this.workers.find(w => w.log === part.log)?.materialised(part.version)
      await breathe()
    }
    const decision = await completeCheckpoint(this.topology, start, parts, materialised, this.ports)
    if (decision.outcome !== 'complete') {
      this.failed++
      return false
    }
    this.completed++
    this.last = start.checkpoint
    this.parts = parts
    // What came while it was under way may lie behind its cuts.
    this.commitsAtLast = before
    return true
  }

  /** Whether the last complete one has overtaken records: a subtask had the barrier of one producer before what another had sent. */
  overtook(): Promise<boolean> {
    return hasRecordsOnTheirWay(this.parts, this.ports.blobs)
  }

  private async acks(start: CheckpointStart) {
    const begun = this.ports.clock.now()
    for (;;) {
      if (this.workers.every(w => this.through(w, start.checkpoint))) {
        const { parts, missing } = await collectParts(this.topology, start.checkpoint, this.ports, log =>
          headAt(this.ports.log, log, this.cutOf(log)),
        )
        if (missing.length === 0) return parts
      }
      if (this.workers.some(w => this.never(w, start.checkpoint))) {
        const { missing, never } = await collectParts(this.topology, start.checkpoint, this.ports)
        const reason = `${never.join(', ')} took over while its barriers were on their way`
        await failCheckpoint(this.topology, start, missing, this.ports, reason)
        return undefined
      }
      if (this.ended()) return undefined
      if (this.ports.clock.now() - begun > (this.stopping() ? STOPPING_TIMEOUT_MS : TIMEOUT_MS)) {
        const { missing } = await collectParts(this.topology, start.checkpoint, this.ports)
        await failCheckpoint(this.topology, start, missing, this.ports)
        return undefined
      }
      await this.progress.wait(1000)
    }
  }

  /** So that the log need not be read from its floor, which stays behind while folds are deferred. */
  private cutOf(log: string): number | undefined {
    return this.workers.find(w => w.log === log)?.view?.fields.alignment?.version
  }

  /** It began while those before it had taken the barrier from some producers only. */
  private never(worker: Worker, checkpoint: number): boolean {
    const fields = worker.view?.fields
    return fields !== undefined && fields.alignment === undefined && fields.lastCut >= checkpoint
  }

  private through(worker: Worker, checkpoint: number): boolean {
    const alignment = worker.view?.fields.alignment
    return alignment?.checkpoint === checkpoint && alignment.pending.length === 0
  }
}

async function unfolded({ log, version }: Part, { store }: Ports): Promise<MaterialisedPart> {
  const marker = await readMarker(store, log)
  return { from: marker, to: marker, items: 0, bytes: 0, tombstones: new Set(), runs: undefined, folded: version, changes: [] }
}
