import { channelsOf, chunksOf } from '../checkpoint/blob-names.ts'
import { encodeChannelState, type KeptFrame } from '../checkpoint/channel-state.ts'
import type { Ports } from '../ports.ts'
import { DeadlineError, LostRaceError } from '../protocol/errors.ts'
import type { ChunkRef, HeadFields, SlotItem } from '../protocol/item.ts'
import { putSlot, step } from '../protocol/log.ts'
import { encodeChanges, markCommitted } from '../state/changelog.ts'
import { followShards, type Live, nextProcessingTimer } from './live.ts'
import type { OutgoingFrame } from './output.ts'
import type { StageTopology, Topology } from './topology.ts'

/** When a commit is full, and until when it may talk to services. */
export interface AttemptLimits {
  /** Input records of one commit. */
  readonly recordsMax: number
  /** Raw bytes of output of one commit. */
  readonly outputBytesMax: number
  /** Timers fired in one commit. */
  readonly timersMax: number
  /** Once a watermark has fired after so long, ms, the commit ends: model calls can make few records take long. */
  readonly durationMsMax: number
  /** Epoch ms after which nothing is sent or committed any more (A8); undefined: no deadline. */
  readonly deadline?: () => number | undefined
}

export const defaultLimits: AttemptLimits = {
  recordsMax: 10_000,
  outputBytesMax: 4 * 1024 * 1024,
  timersMax: 5_000,
  durationMsMax: 500,
}

/** State changes up to this size lie in the commit item, which consumers read too; larger ones in a blob. */
const INLINE_BYTES = 2048

/** A commit that is a cut, one that ends an alignment, the log's last one, or an ordinary one. */
export type CommitOccasion = { readonly checkpoint: number } | 'aligned' | SealOccasion | undefined

/** The shards that take over. */
export interface SealOccasion {
  readonly children: readonly number[]
}

/** One execution of user code, from the last commit to the next (protocol.md, A3): its id is in every frame that it sends. */
export class Attempt {
  readonly id: string
  readonly version: number
  mayYield = false
  private readonly topology: Topology
  private readonly at: StageTopology
  private readonly shard: number
  private readonly ports: Ports
  private readonly live: Live
  private readonly limits: AttemptLimits
  private readonly onCommit: (notable: boolean) => void | Promise<void>
  private readonly startedAt: number
  private records = 0
  private timers = 0
  private touched = false
  private notable = false
  private idle = false
  private stateBytes = 0
  private kept: { -readonly [K in keyof KeptFrame]: KeptFrame[K] }[] = []

  constructor(
    topology: Topology,
    at: StageTopology,
    shard: number,
    ports: Ports,
    live: Live,
    limits: AttemptLimits,
    onCommit: (notable: boolean) => void | Promise<void>,
  ) {
    this.onCommit = onCommit
    this.topology = topology
    this.at = at
    this.shard = shard
    this.ports = ports
    this.live = live
    this.limits = limits
    this.id = ports.random.id()
    this.startedAt = ports.clock.now()
    this.version = live.head.version + 1
    followShards(live, topology, at, shard)
    for (const output of live.outputs) output.begin(this.tag)
  }

  took(records: number): void {
    this.records += records
    this.live.working.counts.recordsIn += records
  }

  /** There is something to commit though no record was taken. */
  touch(): void {
    this.touched = true
    this.notable = true
  }

  /** A frame was taken. If there is nothing but watermarks and barriers in it, no checkpoint is needed for that. */
  tookFrame(): void {
    this.touched = true
  }

  /** Consumers leave this subtask out of their watermark until it sends again. */
  markIdle(): void {
    this.idle = true
  }

  get full(): boolean {
    return this.records >= this.limits.recordsMax || this.outputBytes >= this.limits.outputBytesMax
  }

  /** It has taken so long that what it has done should be committed. */
  get overdue(): boolean {
    return this.ports.clock.now() - this.startedAt >= this.limits.durationMsMax
  }

  /** Called for each timer that fired. */
  shouldYield(): boolean {
    this.timers++
    return this.mayYield && (this.timers >= this.limits.timersMax || this.outputBytes >= this.limits.outputBytesMax)
  }

  get worthCommitting(): boolean {
    return this.records > 0 || this.touched || this.timers > 0 || (this.idle && !this.idleSent)
  }

  // ---- channel state (D4) -------------------------------------------------------------------------------------------

  /** This frame comes from a producer whose barrier is pending: what is accepted of it is channel state. */
  keepForAlignment(data: Uint8Array, from: number): void {
    this.kept.push({ data, from, to: Number.POSITIVE_INFINITY })
  }

  /** The commit ends inside the frame that was kept last. */
  endKept(to: number): void {
    const last = this.kept.at(-1)
    if (last !== undefined) last.to = to
  }

  /** A new cut: what was kept lies before it, and belongs to an alignment that is abandoned. */
  dropKept(): void {
    this.kept = []
  }

  get keepsNothing(): boolean {
    return this.kept.length === 0
  }

  // ---- the commit ---------------------------------------------------------------------------------------------------

  /** Frames and state first, then the put that decides (A4). Throws LostRaceError when another attempt won. */
  async commit(occasion: CommitOccasion): Promise<void> {
    const { live } = this
    const { working, outputs } = live
    const begun = this.ports.clock.now()
    this.endInput(occasion)
    const frames = outputs.flatMap(output => output.take())
    working.counts.recordsOut += outputs.reduce((n, o) => n + o.records, 0)
    working.counts.commits++
    working.countLate(live.chain.keyed.reduce((n, o) => n + o.lateDropped, 0))
    await this.flushSinks(occasion)
    await allSettled([this.send(frames), this.stashChannelState()])
    if (cutOf(occasion) !== undefined) await this.forgetClosed()
    const chunk = await this.stashChunk()
    this.checkDeadline()
    const seal = sealOf(occasion)
    const item: SlotItem = {
      ...(seal === undefined ? { kind: 'commit' } : { kind: 'seal', children: seal.children }),
      attempt: this.id,
      prev: live.head.slotAttempt,
      lastCommit: live.head.lastCommit,
      head: this.headFields(),
      chunk,
    }
    const log = this.topology.log(this.at.stage.index, this.shard)
    if (!(await putSlot(this.ports.log, log, this.version, item))) {
      throw new LostRaceError(`version ${this.version} of ${log} was taken by another attempt`)
    }
    // C2: a slot that expired counts as free, so a put may have won where nobody will ever look.
    if (this.version <= (await this.ports.log.floor(log))) {
      throw new LostRaceError(
        `version ${this.version} of ${log} lies below the log's floor: this environment was frozen for too long`,
      )
    }
    const now = this.ports.clock.now()
    live.lastCommit = { durationMs: now - begun, stateBytes: this.stateBytes, before: live.head.fields.counts }
    live.head = step(live.head, this.version, item)
    live.checkedAt = now
    markCommitted(live.chain.keyed, this.version)
    const wait = this.onCommit(this.notable || this.records > 0 || this.timers > 0 || this.idle)
    if (wait !== undefined) await wait
  }

  /** What goes behind the last record: watermarks, then the barrier. */
  private endInput(occasion: CommitOccasion): void {
    const seal = sealOf(occasion)
    const checkpoint = cutOf(occasion)
    for (const output of this.live.outputs) {
      output.sendWatermarks(this.idle || occasion !== undefined)
      if (this.idle) output.sendIdle()
      if (checkpoint !== undefined) output.sendBarrier(checkpoint)
      if (seal !== undefined) output.sendSeal(to => this.childrenFor(seal, output.stage, to))
    }
    this.idleSent = this.idle
  }

  /** Those that a shard of the consumer counts on. */
  private childrenFor({ children }: SealOccasion, consumer: number, shard: number): number[] {
    const { index } = this.at.stage
    const heard = children.filter(child => this.topology.listens(index, child, consumer, shard))
    return heard.map(child => this.topology.producer(index, child))
  }

  private async flushSinks(occasion: CommitOccasion): Promise<void> {
    // What a sink has begun ends with the log, as it does at a cut.
    const checkpoint = sealOf(occasion) === undefined ? cutOf(occasion) : this.live.working.lastCut
    const cut = checkpoint === undefined ? undefined : { checkpoint }
    const commit = {
      run: this.topology.run,
      pipeline: this.topology.pipeline,
      subtask: this.shard,
      parallelism: this.topology.parallelism(this.at.stage.index),
      version: this.version,
      attempt: this.id,
      checkpoint: cutOf(occasion) ?? this.live.working.lastCut + 1,
    }
    await allSettled(
      this.live.chain.sinks.map(async sink => {
        if (sink.operator.written === 0 && cut === undefined) return
        this.checkDeadline()
        this.live.working.counts.results += sink.operator.written
        if (sink.operator.written > 0) this.notable = true
        sink.operator.written = 0
        const state = await sink.operator.writer.flush({ ...commit, operatorId: sink.operatorId }, cut)
        if (state !== undefined) this.live.sinkStates.set(sink.index, state)
      }),
    )
  }

  /** One frame in flight per shard: puts promise no order. */
  private async send(frames: readonly OutgoingFrame[]): Promise<void> {
    const shards = new Map<string, OutgoingFrame[]>()
    for (const f of frames) {
      const target = `${f.stage}/${f.shard}`
      const list = shards.get(target)
      if (list === undefined) shards.set(target, [f])
      else list.push(f)
    }
    await allSettled(
      [...shards.values()].map(async list => {
        for (const f of list) {
          this.checkDeadline()
          await this.ports.streams.put(this.topology.stream(f.stage), f.shard, f.data)
        }
      }),
    )
  }

  private async stashChunk(): Promise<ChunkRef> {
    const header = { ...this.tag, index: 1, predVersion: 0, predIndex: 0 }
    const bytes = encodeChanges(this.live.chunkWriter, this.live.chain.keyed, header)
    if (bytes === undefined) return undefined
    this.stateBytes = bytes.length
    if (bytes.length <= INLINE_BYTES) return { inline: bytes }
    const blob = `${chunksOf(this.topology.log(this.at.stage.index, this.shard))}${this.version}-${this.id}`
    this.checkDeadline()
    await this.ports.blobs.put(blob, bytes)
    return { blob }
  }

  private async stashChannelState(): Promise<void> {
    const { alignment } = this.live.working
    if (alignment === undefined || this.kept.length === 0) return
    const channels = channelsOf(this.topology.log(this.at.stage.index, this.shard))
    const blob = `${channels}${alignment.checkpoint}/${this.version}-${this.id}`
    this.checkDeadline()
    await this.ports.blobs.put(blob, encodeChannelState(this.kept))
    this.live.working.alignment = { ...alignment, channelState: [...alignment.channelState, blob] }
  }

  /** What was sent to closed shards is told until somebody who takes over has looked at it (checkpoint/inherit.ts). */
  private async forgetClosed(): Promise<void> {
    const { log } = this.ports
    for (const output of this.live.outputs)
      for (const { shard, children } of output.closedShards()) {
        const floors = await Promise.all(children.map(child => log.floor(this.topology.log(output.stage, child))))
        if (floors.some(floor => floor > 0)) output.forget(shard)
      }
  }

  private headFields(): HeadFields {
    const { working, chain, outputs } = this.live
    const timerAt = nextProcessingTimer(this.live)
    const sentClosed = outputs.flatMap(o => [...o.sentClosed()])
    return {
      position: working.position,
      source: working.source,
      sourceDone: working.sourceDone,
      accepted: [...working.accepted].map(([p, id]) => [p, ...id] as const),
      watermarks: [...working.watermarks],
      idle: [...working.idle],
      ...(working.laterProducers !== undefined && { producers: working.laterProducers }),
      watermark: working.watermark,
      sent: outputs.flatMap(o => [...o.sent()]),
      ...(sentClosed.length > 0 && { sentClosed }),
      ...chain.firing(),
      lastCut: working.lastCut,
      alignment: working.alignment,
      injection: working.injection,
      sinks: [...this.live.sinkStates],
      counts: { ...working.counts },
      ...(working.takesFrom !== undefined && { takesFrom: working.takesFrom }),
      ...(working.heardAt !== undefined && { heardAt: working.heardAt }),
      ...(timerAt < Number.POSITIVE_INFINITY && { timerAt }),
    }
  }

  private checkDeadline(): void {
    const deadline = this.limits.deadline?.()
    if (deadline !== undefined && this.ports.clock.now() >= deadline) {
      throw new DeadlineError(
        `the invocation of ${this.topology.log(this.at.stage.index, this.shard)} has no time left; its batch is delivered again`,
      )
    }
  }

  private get tag() {
    return {
      run: this.topology.run,
      producer: this.topology.producer(this.at.stage.index, this.shard),
      version: this.version,
      attempt: this.id,
    }
  }

  private get outputBytes(): number {
    const { outputs } = this.live
    let bytes = 0
    for (let i = 0; i < outputs.length; i++) bytes += outputs[i]!.bytes
    return bytes
  }

  private get idleSent(): boolean {
    return this.live.idleSent
  }

  private set idleSent(sent: boolean) {
    this.live.idleSent = sent
  }
}

function sealOf(occasion: CommitOccasion): SealOccasion | undefined {
  return typeof occasion === 'object' && 'children' in occasion ? occasion : undefined
}

function cutOf(occasion: CommitOccasion): number | undefined {
  return typeof occasion === 'object' && 'checkpoint' in occasion ? occasion.checkpoint : undefined
}

/** Like Promise.all, but nothing is under way any more when it fails: an attempt that is given up may not go on writing beside the next one. */
async function allSettled(work: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(w => w.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
