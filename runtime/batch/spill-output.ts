import type { PhysicalStage, StageEdge } from '../graph/plan.ts'
import type { Receiver } from '../operators/operator.ts'
import { FrameError } from '../protocol/frame.ts'
import { type Channel, type OutgoingFrame, StageOutput } from '../stage/output.ts'
import { partialsOf } from '../windows/combine.ts'
import { Combining, combinerFor } from './combining.ts'
import { type RunFile, RunWriter, type SortedRun } from './run-file.ts'

/** Records that wait to be sorted, over all partitions: as many as take about so many bytes in frames, within these bounds. */
const BUFFER_BYTES = 8 << 20
const BUFFER_RECORDS_MIN = 256
const BUFFER_RECORDS_MAX = 32 * 1024
const BUFFER_RECORDS_FIRST = 1024
/** Of them, the newest stay behind: what comes a bit too late then still finds its place in the same run. */
const KEPT = 1 / 4

/** What one subtask of a bounded run has for one consumer stage: sorted by event time, a part of the buffer at a time, and spilled, one list of runs for each subtask of the consumer. */
export class SpillOutput extends StageOutput {
  private readonly partitions: Partition[]
  private readonly consumer: PhysicalStage
  private readonly combinings: Combining[] = []
  private buffered = 0
  private limit = BUFFER_RECORDS_FIRST

  constructor(file: RunFile, ...args: ConstructorParameters<typeof StageOutput>) {
    super(...args)
    this.consumer = args[0]
    const unsendable = (error: unknown, edge: number, timestamp: number) => this.unsendable(error, edge, timestamp)
    this.partitions = args[2].map(() => new Partition(new RunWriter(file), unsendable))
  }

  /** What can be added up before it travels is. */
  override receiver(edge: StageEdge): Receiver {
    const plain = super.receiver(edge)
    const combiner = combinerFor(this.consumer, edge)
    if (combiner === undefined || edge.exchange.kind !== 'key') return plain
    const keyUnder = this.keyUnder(edge, edge.exchange)
    const id = partialsOf(edge.id)
    const combining = new Combining(combiner, this.operatorBehind(edge), (accumulator, pane, key) =>
      this.keep(this.channelOf(key), id, accumulator, pane, key),
    )
    this.combinings.push(combining)
    // Counted here: what they were added up to is handed out when the last commit has been, or, of a task that pauses, in another part.
    const record: Receiver['record'] = (value, timestamp, key) => {
      this.records++
      combining.add(value, timestamp, keyUnder(value, timestamp, key))
    }
    // The user's function may keep what it adds up.
    return { record, watermark: plain.watermark }
  }

  /** They wait to be sorted. */
  protected override get keepsValues(): boolean {
    return true
  }

  protected override write(channel: Channel, edge: number, value: unknown, timestamp: number, key: unknown): void {
    this.records++
    this.keep(channel, edge, value, timestamp, key)
  }

  private keep(channel: Channel, edge: number, value: unknown, timestamp: number, key: unknown): void {
    if (this.partitions[channel.shard]!.take(edge, value, timestamp, key)) return
    if (++this.buffered >= this.limit) this.spill(KEPT)
  }

  /** Nothing travels: time and barriers are not told either. */
  override take(): OutgoingFrame[] {
    return []
  }

  override sendWatermarks(): void {}
  override sendIdle(): void {}
  override sendBarrier(): void {}

  /** By subtask of the consumer. Nothing is written any more. */
  finish(): SortedRun[][] {
    for (const combining of this.combinings) combining.flush(0)
    return this.partitions.map(p => p.finish())
  }

  private spill(kept: number): void {
    let bytes = 0
    let records = 0
    for (const p of this.partitions) {
      const before = p.size
      bytes += p.spill(kept)
      records += before - p.size
    }
    this.buffered -= records
    if (records === 0) return
    const limit = Math.floor((BUFFER_BYTES * records) / Math.max(1, bytes))
    this.limit = this.buffered + Math.min(BUFFER_RECORDS_MAX, Math.max(BUFFER_RECORDS_MIN, limit))
  }
}

/** Records for one subtask of the consumer. As long as they come in order there is nothing to sort, and they are written as they come; from the first that does not they are buffered. */
class Partition {
  private readonly writer: RunWriter
  private readonly unsendable: (error: unknown, edge: number, timestamp: number) => unknown
  private edges: number[] = []
  private values: unknown[] = []
  private timestamps: number[] = []
  private keys: unknown[] = []
  private sorted = true
  private inOrder = true

  constructor(writer: RunWriter, unsendable: (error: unknown, edge: number, timestamp: number) => unknown) {
    this.writer = writer
    this.unsendable = unsendable
  }

  get size(): number {
    return this.values.length
  }

  /** True: it is written. False: it waits. */
  take(edge: number, value: unknown, timestamp: number, key: unknown): boolean {
    if (this.inOrder && timestamp >= this.writer.last) {
      this.write(edge, value, timestamp, key)
      return true
    }
    this.inOrder = false
    if (this.sorted && timestamp < (this.timestamps.at(-1) ?? timestamp)) this.sorted = false
    this.edges.push(edge)
    this.values.push(value)
    this.timestamps.push(timestamp)
    this.keys.push(key)
    return false
  }

  /** Writes all but the newest, in order of time, then of coming. Gives the bytes of it. */
  spill(kept: number): number {
    const { edges, values, timestamps, keys } = this
    const order = Array.from(values, (_, i) => i)
    if (!this.sorted) order.sort((a, b) => timestamps[a]! - timestamps[b]! || a - b)
    const end = order.length - Math.floor(order.length * kept)
    const before = this.bytes
    for (let n = 0; n < end; n++) {
      const i = order[n]!
      this.write(edges[i]!, values[i], timestamps[i]!, keys[i])
    }
    const rest = order.slice(end)
    this.edges = rest.map(i => edges[i]!)
    this.values = rest.map(i => values[i])
    this.timestamps = rest.map(i => timestamps[i]!)
    this.keys = rest.map(i => keys[i])
    this.sorted = true
    return this.bytes - before
  }

  /** Nothing comes any more. */
  finish(): SortedRun[] {
    this.spill(0)
    this.writer.endFrame()
    return this.writer.runs
  }

  private write(edge: number, value: unknown, timestamp: number, key: unknown): void {
    try {
      this.writer.add(edge, value, timestamp, key)
    } catch (error) {
      throw error instanceof FrameError ? this.unsendable(error, edge, timestamp) : error
    }
  }

  private get bytes(): number {
    return this.writer.bytes
  }
}
