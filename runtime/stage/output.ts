import type { Exchange, OperatorNode } from '../graph/graph.ts'
import { type KeyPart, keyGroup, subtaskOf } from '../graph/key.ts'
import type { PhysicalPlan, PhysicalStage, StageEdge } from '../graph/plan.ts'
import { type Receiver, WatermarkMerge } from '../operators/operator.ts'
import { pickFields } from '../operators/pick.ts'
import { UserCodeError } from '../operators/user-code.ts'
import { FrameError, FrameWriter } from '../protocol/frame.ts'
import type { FrameId } from '../protocol/item.ts'
import { keyOf } from './key-of.ts'

/** Raw bytes at which a frame is closed and another one begun: well below Kinesis' 1 MB for a record. */
const FRAME_BYTES = 256 * 1024

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
  /** Last frame sent, and as of the last commit. */
  sent: FrameId
  watermark: number
  closed: Uint8Array[]
  index: number
}

/** How many subtasks there are on both sides of an output. */
export interface OutputSubtasks {
  readonly from: number
  readonly to: number
  /** The one shard that listens, undefined: all (see Topology.keepsSubtask). */
  readonly only: number | undefined
}

/** All channels from one subtask to one consumer stage. */
export class StageOutput {
  readonly stage: number
  readonly edges: readonly StageEdge[]
  records = 0
  bytes = 0
  private readonly channels: Channel[]
  /** Channels whose consumers count on this producer: they get its watermarks and barriers. */
  private readonly listeners: Channel[]
  /** As many subtasks on both sides: what has no key stays with its own. */
  private readonly keeps: boolean
  /** The channel that gets the next record without a key, where it does not stay. */
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
    subtasks: OutputSubtasks,
    plan: PhysicalPlan['options'],
    compression: boolean,
  ) {
    this.stage = consumer.index
    this.ids = consumer.ids
    this.edges = edges
    this.groups = plan.keyGroups
    this.step = plan.watermarkStep
    this.merge = new WatermarkMerge(edges.length)
    this.keeps = subtasks.from === subtasks.to
    this.channels = Array.from({ length: subtasks.to }, (_, shard) => ({
      shard,
      writer: new FrameWriter({ compression }),
      sent: [0, 0] as const,
      watermark: Number.NEGATIVE_INFINITY,
      closed: [],
      index: 0,
    }))
    this.listeners = subtasks.only === undefined ? this.channels : [this.channels[subtasks.only]!]
  }

  /** See Receiver. */
  protected get captures(): boolean {
    return true
  }

  /** The receiver for one edge; `shard` is the subtask's own. */
  receiver(edge: StageEdge, shard: number): Receiver {
    const slot = this.edges.indexOf(edge)
    const route = this.route(edge, edge.exchange, shard)
    return { captures: this.captures, record: route, watermark: timestamp => void this.merge.update(slot, timestamp) }
  }

  begin(tag: AttemptTag): void {
    this.tag = tag
    // By the version, so that an attempt deals its records as the one before it did, whether it is warm or cold.
    this.turn = keyGroup(tag.version, this.channels.length)
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

  restoreSent(shard: number, id: FrameId): void {
    this.channels[shard]!.sent = id
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

  /** Closes all frames of this attempt. */
  take(): OutgoingFrame[] {
    const frames: OutgoingFrame[] = []
    this.channels.forEach((c, shard) => {
      if (c.writer.count > 0) this.close(c)
      for (const data of c.closed) frames.push({ stage: this.stage, shard, data })
      c.closed = []
    })
    return frames
  }

  *sent(): Generator<readonly [stage: number, shard: number, ...FrameId]> {
    for (let shard = 0; shard < this.channels.length; shard++) {
      const [version, index] = this.channels[shard]!.sent
      if (version > 0) yield [this.stage, shard, version, index]
    }
  }

  private route(edge: StageEdge, exchange: Exchange, shard: number): Receiver['record'] {
    // Only the fields that the consumers use (the planner knows them) travel.
    const shape = edge.fields === undefined ? (value: any) => value : pickFields(edge.fields)
    if (exchange.kind === 'broadcast') {
      return (value, timestamp, key) => {
        const v = shape(value)
        for (const c of this.channels) this.write(c, edge.id, v, timestamp, edge.carryKey ? key : undefined)
      }
    }
    if (exchange.kind === 'forward' && !this.keeps) {
      return (value, timestamp, key) => this.write(this.next(), edge.id, shape(value), timestamp, edge.carryKey ? key : undefined)
    }
    if (exchange.kind === 'forward') {
      const channel = this.channels[shard]!
      return (value, timestamp, key) => this.write(channel, edge.id, shape(value), timestamp, edge.carryKey ? key : undefined)
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
    return this.channels[subtaskOf(keyGroup(key, this.groups), this.groups, this.channels.length)]!
  }

  /** The id of the operator that an edge leads to. */
  protected operatorBehind(edge: StageEdge): string {
    return this.ids.get(edge.targets[0]!.node)!
  }

  /** Each channel in turn. */
  private next(): Channel {
    const channel = this.channels[this.turn]!
    this.turn = this.turn + 1 === this.channels.length ? 0 : this.turn + 1
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
    const [predVersion, predIndex] = channel.sent
    channel.closed.push(channel.writer.finish({ ...tag, index: channel.index, predVersion, predIndex }))
    channel.sent = [tag.version, channel.index]
  }
}
