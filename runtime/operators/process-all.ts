import { Operator } from './operator.ts'
import type { OutputTag } from './output-tag.ts'
import { refusePromise, tagOf, userError, wholeMs } from './user-code.ts'

/** What a process function without a key sees. The same object for every record: do not keep it. */
export interface ProcessAllContext<O> {
  /** Of the record, epoch ms. */
  readonly timestamp: number
  readonly currentWatermark: number
  /** Epoch ms. */
  processingTime(): number
  /** `timestamp`: default that of the record. */
  emit(value: O, timestamp?: number): void
  /** To a side output. */
  output<X>(tag: OutputTag<X>, value: X, timestamp?: number): void
}

/** A process function on a stream without a key: no state, no timers, but side outputs and time. */
export class ProcessAllOperator<I, O> extends Operator implements ProcessAllContext<O> {
  timestamp = Number.NEGATIVE_INFINITY
  currentWatermark = Number.NEGATIVE_INFINITY
  private key: unknown
  private readonly fn: (value: I, ctx: ProcessAllContext<O>) => void

  constructor(fn: (value: I, ctx: ProcessAllContext<O>) => void) {
    super()
    this.fn = fn
  }

  record(value: I, timestamp: number, key: unknown): void {
    this.timestamp = timestamp
    this.key = key
    let result: unknown
    try {
      result = this.fn(value, this) as unknown
    } catch (error) {
      throw userError(this.ctx, timestamp, 'process', error)
    }
    if (result !== undefined) refusePromise(this.ctx, timestamp, 'process', 'use mapAsync for calls that take time', result)
  }

  override watermark(timestamp: number): void {
    this.currentWatermark = timestamp
    this.ctx.forwardWatermark(timestamp)
  }

  override restoreWatermark(timestamp: number): void {
    this.currentWatermark = timestamp
  }

  processingTime(): number {
    return this.ctx.now()
  }

  emit(value: O, timestamp = this.timestamp): void {
    this.ctx.output.record(value, wholeMs(this, timestamp), this.key)
  }

  output<X>(tag: OutputTag<X>, value: X, timestamp = this.timestamp): void {
    this.ctx.side(tagOf(this.ctx, this.timestamp, tag)).record(value, wholeMs(this, timestamp), this.key)
  }
}
