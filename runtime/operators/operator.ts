import { copyValue } from '../state/copy.ts'

/** What a record is pushed into: the next operator of the chain, a channel to another stage, or nothing. */
export interface Receiver {
  /** The same receiver for a value that others have as well: it neither changes nor keeps it, or copies what it keeps. Undefined: it needs a copy of its own (`lentOf`). */
  readonly lent?: Receiver | undefined
  /** `key` is the key of the last keyBy before this point, undefined where there was none. */
  record(value: any, timestamp: number, key: any): void
  watermark(timestamp: number): void
}

/** What the stage gives to each operator when it opens it. */
export interface OperatorContext {
  readonly operatorId: string
  readonly subtask: number
  readonly parallelism: number
  /** The main output. */
  readonly output: Receiver
  /** A side output by its tag; records go nowhere if nobody listens. */
  side(tag: string): Receiver
  /** Sends a watermark to the main output and to every side output. */
  forwardWatermark(timestamp: number): void
  /** Processing time, epoch ms. */
  now(): number
  /** Waits without touching the wall clock directly (mapAsync's time-outs and backoff). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** In [0, 1). */
  random(): number
  /**
   * True when this commit holds as much as it should and the operator may stop firing timers: it then returns with
   * `yielded` set, and is resumed after the commit.
   */
  shouldYield(): boolean
}

/**
 * One operator of a chain, one instance a subtask. Records are pushed synchronously, so that a chain is one call tree
 * without a promise per record. An operator that has to wait (async calls, cold state) queues its input, says so with `pending`, and
 * the stage awaits `drain` before it commits.
 */
export abstract class Operator implements Receiver {
  ctx!: OperatorContext
  readonly lent: Receiver | undefined = undefined

  /** Called once before the first record. */
  open(ctx: OperatorContext): void | Promise<void> {
    this.ctx = ctx
  }

  /** Whether somebody else may have what it emits: its state, another of its outputs, the user. Each receiver then gets a copy. */
  get shares(): boolean {
    return true
  }

  /** The receiver for input `index`; operators of one input are their own. */
  input(_index: number): Receiver {
    return this
  }

  /** For what was added up of its records before it travelled (windows/combine.ts), where they may be. */
  get partials(): Receiver | undefined {
    return undefined
  }

  abstract record(value: any, timestamp: number, key: any): void

  watermark(timestamp: number): void {
    this.ctx.forwardWatermark(timestamp)
  }

  /** After a restart: the watermark that the last commit left it at, which it has passed on. */
  restoreWatermark(_timestamp: number): void {}

  /** True while records or watermarks wait inside for something asynchronous. */
  get pending(): boolean {
    return false
  }

  /** Works until nothing is pending. Called by the stage, operators upstream first. */
  async drain(): Promise<void> {}

  close(): void | Promise<void> {}
}

/** A receiver that neither changes nor keeps what it is given. */
export function lending(record: Receiver['record'], watermark: Receiver['watermark']): Receiver {
  const receiver: Receiver = { record, watermark, lent: undefined }
  return Object.assign(receiver, { lent: receiver })
}

/** Where a value goes that others have as well. */
export function lentOf(receiver: Receiver): Receiver {
  return (
    receiver.lent ??
    lending(
      (value, timestamp, key) => receiver.record(copyValue(value), timestamp, key),
      timestamp => receiver.watermark(timestamp),
    )
  )
}

/** Receives and forgets: an output that nobody reads. */
export const nowhere: Receiver = lending(
  () => {},
  () => {},
)

/** The minimum of several inputs' watermarks, which only rises. */
export class WatermarkMerge {
  current = Number.NEGATIVE_INFINITY
  private readonly inputs: number[]

  constructor(inputs: number) {
    this.inputs = new Array(inputs).fill(Number.NEGATIVE_INFINITY)
  }

  /** All inputs at once. */
  updateAll(timestamp: number): void {
    if (timestamp <= this.current) return
    for (let i = 0; i < this.inputs.length; i++) if (this.inputs[i]! < timestamp) this.inputs[i] = timestamp
    this.current = timestamp
  }

  /** True if the minimum rose. */
  update(input: number, timestamp: number): boolean {
    if (timestamp <= this.inputs[input]!) return false
    this.inputs[input] = timestamp
    let min = timestamp
    for (const w of this.inputs) if (w < min) min = w
    if (min <= this.current) return false
    this.current = min
    return true
  }
}
