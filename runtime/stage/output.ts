import type { Exchange, OperatorNode } from '../graph/graph.ts'
import { type KeyPart, keyGroup } from '../graph/key.ts'
import type { PhysicalPlan, PhysicalStage, StageEdge } from '../graph/plan.ts'
import { lending, type Receiver, WatermarkMerge } from '../operators/operator.ts'
import { pickFields } from '../operators/pick.ts'
import { UserCodeError } from '../operators/user-code.ts'
import { FrameError, FrameWriter } from '../protocol/frame.ts'
import { type FrameId, type HeadFields, later } from '../protocol/item.ts'
import { SEAL_EDGE, type Seal } from '../protocol/seal.ts'
import { keyOf } from './key-of.ts'
import { openShards, type Shard } from './layout.ts'

/** Raw bytes at which a frame is closed and another one begun: well below Kinesis' 1 MB for a record. */
const FRAME_BYTES = 256 * 1024
const NONE_SENT: FrameId = [0, 0]

/** The last frame on a channel. */
export type SentFrame = HeadFields['sent'][number]

export interface OutgoingFrame {
  readonly stage: number
  readonly shard: number
  readonly data: Uint8Array
}

/** Identity of the attempt that frames are tagged with. */
export interface AttemptTag {
  readonly run: string
  readonly producer: number
  readonly version: number
  readonly attempt: string
}

export interface Channel {
  readonly shard: number
  readonly writer: FrameWriter
  watermark: number
  closed: Uint8Array[]
  index: number
}

/** A shard of the consumer, as one subtask sends to it. */
export interface OutputShard extends Shard {
  /** It counts on this producer: see Topology.listens. */
  readonly listens: boolean
  /** It gets records that have no key. */
  readonly own: boolean
}

/** All channels from one subtask to one consumer stage. */
export class StageOutput {
  readonly stage: number
  readonly edges: readonly StageEdge[]
  records = 0
  bytes = 0
  private shards: readonly OutputShard[] = []
  /** Of open shards, in order of key groups. */
  private channels: Channel[] = []
  /** Channels whose consumers count on this producer: they get its watermarks and barriers. */
  private listeners: Channel[] = []
  /** Those that get records without a key, in turn. */
  private own: Channel[] = []
  /** The channel of each key group. */
  private byGroup: Channel[] = []
  /** Last frame sent, by shard that is open, or not known here. */
  private readonly lastSent: Map<number, FrameId>
  /** The same of those that were closed, until somebody has taken over from them. */
  private readonly closed: Map<number, FrameId>
  private readonly compression: boolean
  /** The channel that gets the next record without a key. */
  private turn = 0
  /** Operators of the consumer. */
  private readonly ids: ReadonlyMap<OperatorNode, string>
  private readonly groups: number
  private readonly step: number
  private readonly merge: WatermarkMerge
  private tag: AttemptTag | undefined

  constructor(
    consumer: PhysicalStage,
    edges: readonly StageEdge[],
    shards: readonly OutputShard[],
    plan: PhysicalPlan['options'],
    compression: boolean,
    sent: ReadonlyMap<number, FrameId> = new Map(),
    closed: ReadonlyMap<number, FrameId> = new Map(),
  ) {
    this.stage = consumer.index
    this.ids = consumer.ids
    this.edges = edges
    this.groups = plan.keyGroups
    this.step = plan.watermarkStep
    this.merge = new WatermarkMerge(edges.length)
    this.compression = compression
    this.lastSent = new Map(sent)
    this.closed = new Map(closed)
    this.reshape(shards)
  }

  /**
   * The consumer's shards were split or merged: records go to those that are open now. Between two attempts only.
   *
   * A child's channel goes on where its parents' ended (protocol.md, F3): the last of them all, for a producer that took over from several has what each of them knew, and
   * one may have ended before the consumer's shards changed, the other after.
   */
  reshape(shards: readonly OutputShard[]): void {
    this.shards = shards
    const open = openShards(shards) as OutputShard[]
    // Each shard behind its parents, and once: they are as many by paths as there were changes, to the power of two.
    const sent: FrameId[] = []
    for (const { shard, parents } of shards)
      sent[shard] = parents.map(p => sent[p]!).reduce(later, this.lastSent.get(shard) ?? NONE_SENT)
    for (const { shard } of open) this.lastSent.set(shard, sent[shard]!)
    for (const [shard, last] of this.lastSent) {
      if (shards[shard]?.children === undefined) continue
      this.lastSent.delete(shard)
      this.closed.set(shard, last)
    }
    const known = new Map(this.channels.map(c => [c.shard, c]))
    this.channels = open.map(
      ({ shard }) =>
        known.get(shard) ?? {
          shard,
          writer: new FrameWriter({ compression: this.compression }),
          watermark: Number.NEGATIVE_INFINITY,
          closed: [],
          index: 0,
        },
    )
    this.listeners = this.channels.filter((_, i) => open[i]!.listens)
    this.own = this.channels.filter((_, i) => open[i]!.own)
    this.byGroup = []
    open.forEach(({ from, to }, i) => {
      for (let group = from; group < to; group++) this.byGroup[group] = this.channels[i]!
    })
  }

  /** Whether values stay here as they are; else they have been written when `record` returns. */
  protected get keepsValues(): boolean {
    return false
  }

  /** The receiver for one edge. */
  receiver(edge: StageEdge): Receiver {
    const slot = this.edges.indexOf(edge)
    const record = this.route(edge, edge.exchange)
    const watermark = (timestamp: number) => void this.merge.update(slot, timestamp)
    return this.keepsValues ? { record, watermark } : lending(record, watermark)
  }

  begin(tag: AttemptTag): void {
    this.tag = tag
    // By the version, so that an attempt deals its records as the one before it did, whether it is warm or cold.
    this.turn = keyGroup(tag.version, this.own.length)
    this.records = 0
    this.bytes = 0
    for (const c of this.channels) c.index = 0
  }

  /** The watermark that consumers are told, -Infinity before the first. */
  get watermark(): number {
    return this.merge.current
  }

  /** The watermark of all edges. */
  advance(timestamp: number): void {
    this.merge.updateAll(timestamp)
  }

  /** What each edge had forwarded. Channels hear of it again: that does no harm. */
  restoreWatermarks(forwarded: (edge: StageEdge) => number): void {
    this.edges.forEach((edge, i) => {
      this.merge.update(i, forwarded(edge))
    })
  }

  /** Puts the watermark on every channel that has not heard of it. `force`: whatever the step (protocol.md, D2). */
  sendWatermarks(force: boolean): void {
    for (const c of this.listeners) this.catchUp(c, force)
  }

  /** Marks this producer as idle: consumers leave it out until it sends again. */
  sendIdle(): void {
    for (const c of this.listeners) {
      c.writer.watermark(Number.NEGATIVE_INFINITY)
      c.watermark = Number.NEGATIVE_INFINITY
    }
  }

  /** Barriers go to every shard that listens, last in their version (D1). */
  sendBarrier(checkpoint: number): void {
    for (const c of this.listeners) c.writer.barrier(checkpoint, this.merge.current)
  }

  /** The last there will ever be of this producer, for all who count on it (protocol.md, F2). */
  sendSeal(children: (shard: number) => readonly number[]): void {
    for (const c of this.listeners) c.writer.record(SEAL_EDGE, { children: children(c.shard) } satisfies Seal, 0, undefined)
  }

  /** Closes all frames of this attempt. */
  take(): OutgoingFrame[] {
    const frames: OutgoingFrame[] = []
    for (const c of this.channels) {
      if (c.writer.count > 0) this.close(c)
      for (const data of c.closed) frames.push({ stage: this.stage, shard: c.shard, data })
      c.closed = []
    }
    return frames
  }

  /**
   * Last frame of each channel that goes on. Shards that aren't known here were split off since: who knows them goes on from what was sent to them. Those that don't count on this
   * producer took what it had sent to their parents for no predecessor of what they hear: nor may who takes over from it, and from one that they do count on.
   */
  sent(): Generator<SentFrame> {
    return this.heard(this.lastSent)
  }

  /** The last frame of each channel that has ended, until somebody has taken over from its shard, and looked at that. */
  sentClosed(): Generator<SentFrame> {
    return this.heard(this.closed)
  }

  private *heard(frames: ReadonlyMap<number, FrameId>): Generator<SentFrame> {
    for (const [shard, [version, index]] of frames)
      if (version > 0 && (this.shards[shard]?.listens ?? true)) yield [this.stage, shard, version, index]
  }

  /** Those whose last frame is told on, with the shards that took over from them. */
  *closedShards(): Generator<{ readonly shard: number; readonly children: readonly number[] }> {
    for (const shard of this.closed.keys()) yield { shard, children: this.shards[shard]?.children ?? [] }
  }

  /** Nobody has to be told any more what a closed shard was sent. */
  forget(shard: number): void {
    this.closed.delete(shard)
  }

  private route(edge: StageEdge, exchange: Exchange): Receiver['record'] {
    // Only the fields that the consumers use (the planner knows them) travel.
    const shape = edge.fields === undefined ? (value: any) => value : pickFields(edge.fields)
    if (exchange.kind === 'broadcast') {
      return (value, timestamp, key) => {
        const v = shape(value)
        for (const c of this.channels) this.write(c, edge.id, v, timestamp, edge.carryKey ? key : undefined)
      }
    }
    if (exchange.kind === 'forward') {
      return (value, timestamp, key) => this.write(this.next(), edge.id, shape(value), timestamp, edge.carryKey ? key : undefined)
    }
    const keyUnder = this.keyUnder(edge, exchange)
    return (value, timestamp, key: KeyPart) => {
      const k = keyUnder(value, timestamp, key)
      this.write(this.channelOf(k), edge.id, shape(value), timestamp, edge.carryKey ? k : undefined)
    }
  }

  /** The key that a record travels under. */
  protected keyUnder(edge: StageEdge, { key: spec, inherited }: Extract<Exchange, { kind: 'key' }>) {
    const compute = keyOf(spec, this.operatorBehind(edge))
    return (value: any, timestamp: number, key: KeyPart) => (inherited ? key : compute(value, timestamp))
  }

  protected channelOf(key: KeyPart): Channel {
    return this.byGroup[keyGroup(key, this.groups)]!
  }

  /** The id of the operator that an edge leads to. */
  protected operatorBehind(edge: StageEdge): string {
    return this.ids.get(edge.targets[0]!.node)!
  }

  /** Each of those that get records without a key, in turn. */
  private next(): Channel {
    const channel = this.own[this.turn]!
    this.turn = this.turn + 1 === this.own.length ? 0 : this.turn + 1
    return channel
  }

  protected write(channel: Channel, edge: number, value: unknown, timestamp: number, key: unknown): void {
    this.catchUp(channel, false)
    const before = channel.writer.approximateBytes
    try {
      channel.writer.record(edge, value, timestamp, key)
    } catch (error) {
      throw this.unsendable(error, edge, timestamp)
    }
    const after = channel.writer.approximateBytes
    this.bytes += after - before
    this.records++
    if (after >= FRAME_BYTES) this.close(channel)
  }

  protected unsendable(error: unknown, edgeId: number, timestamp: number): unknown {
    if (!(error instanceof FrameError) || error.part === undefined) return error
    const { path, kind } = error.part
    const what = path.startsWith('$key')
      ? 'the key'
      : path === '$'
        ? 'the record'
        : `its field ${path.slice(1).replace(/^\./, '')}`
    const to = this.ids.get(this.edges.find(e => e.id === edgeId)!.targets[0]!.node)!
    return new UserCodeError(
      to,
      timestamp,
      `${what} is ${kind}, which can't be sent from one function to another: make plain data of it before, in a map()`,
    )
  }

  /** The watermark in force travels in front of the record, so that its lateness is judged alike whatever the batch. */
  private catchUp(channel: Channel, force: boolean): void {
    const watermark = this.merge.current
    if (watermark <= channel.watermark) return
    if (!force && watermark !== Number.POSITIVE_INFINITY && watermark - channel.watermark < this.step) return
    channel.writer.watermark(watermark)
    channel.watermark = watermark
  }

  private close(channel: Channel): void {
    const tag = this.tag!
    channel.index++
    const [predVersion, predIndex] = this.lastSent.get(channel.shard)!
    channel.closed.push(channel.writer.finish({ ...tag, index: channel.index, predVersion, predIndex }))
    this.lastSent.set(channel.shard, [tag.version, channel.index])
  }
}
