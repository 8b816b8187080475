import type { KeyPart } from '../graph/key.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { TimeBuffer } from '../state/time-buffer.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { OperatorContext } from './operator.ts'
import type { OutputTag } from './output-tag.ts'
import { refusePromise, userError } from './user-code.ts'

export const INTERVAL_JOIN_STATES: readonly StateDeclaration[] = [
  { name: 'left', primitive: 'map', load: 'all' },
  { name: 'right', primitive: 'map', load: 'all' },
]

/** The buffers are swept this many times in the time that an interval is long: more keep less, and cost more timers. */
const SWEEPS_PER_INTERVAL = 8

export interface IntervalJoinOptions<L, R, O> {
  /** A left record of time t meets the right ones of t + lowerMs <= time <= t + upperMs. Either may be negative. */
  readonly lowerMs: number
  readonly upperMs: number
  readonly join: (left: L, right: R) => O
  /** Records below the watermark, of either side; they are dropped otherwise. */
  readonly lateTag?: OutputTag<L | R>
}

/**
 * Joins the pairs of a key whose times lie within an interval; input 0 is the left. Each pair is emitted once, when the second of the two
 * arrives, with the later of their timestamps. Records below the watermark are late and meet nothing, as in Flink.
 */
export class IntervalJoinOperator<L, R, O> extends KeyedOperator {
  private readonly options: IntervalJoinOptions<L, R, O>
  private left!: TimeBuffer<L>
  private right!: TimeBuffer<R>
  /** How far behind the watermark a record of this side can still be met: its buffer is kept so long. */
  private readonly leftMs: number
  private readonly rightMs: number
  private readonly sweepMs: number

  constructor(options: IntervalJoinOptions<L, R, O>) {
    super(2)
    this.options = options
    this.leftMs = Math.max(0, options.upperMs)
    this.rightMs = Math.max(0, -options.lowerMs)
    this.sweepMs = Math.max(1, Math.floor((options.upperMs - options.lowerMs) / SWEEPS_PER_INTERVAL))
  }

  override open(ctx: OperatorContext): void {
    super.open(ctx)
    this.left = new TimeBuffer(this.state, 0)
    this.right = new TimeBuffer(this.state, 1)
  }

  protected onRecord(entry: KeyEntry, value: any, timestamp: number, input: number): void {
    const { lowerMs, upperMs, lateTag } = this.options
    if (timestamp < this.currentWatermark) {
      this.dropLate(lateTag, value, timestamp, entry.key)
      return
    }
    if (input === 0) {
      this.left.add(entry, timestamp, value)
      this.sweepAfter(entry, timestamp + this.leftMs, 0)
      this.right.range(entry, timestamp + lowerMs, timestamp + upperMs, (right, at) => {
        this.emit(entry, value, right, Math.max(timestamp, at))
      })
    } else {
      this.right.add(entry, timestamp, value)
      this.sweepAfter(entry, timestamp + this.rightMs, 1)
      this.left.range(entry, timestamp - upperMs, timestamp - lowerMs, (left, at) => {
        this.emit(entry, left, value, Math.max(timestamp, at))
      })
    }
  }

  /** `tag`: the side to sweep. */
  protected override onTimer(entry: KeyEntry, at: number, tag: KeyPart): void {
    if (tag === 0) this.left.removeThrough(entry, at - this.leftMs - 1)
    else this.right.removeThrough(entry, at - this.rightMs - 1)
  }

  /** `last`: a record of this time may still meet it. One at the watermark is not late yet, so it goes a millisecond later at the earliest. */
  private sweepAfter(entry: KeyEntry, last: number, side: 0 | 1): void {
    this.eventTimers.set(Math.ceil((last + 1) / this.sweepMs) * this.sweepMs, entry.key, side)
  }

  private emit(entry: KeyEntry, left: L, right: R, timestamp: number): void {
    let joined: O
    try {
      joined = this.options.join(this.left.copy(left), this.right.copy(right))
    } catch (error) {
      throw userError(this.ctx, timestamp, 'intervalJoin', error)
    }
    refusePromise(this.ctx, timestamp, 'intervalJoin', 'use mapAsync behind it', joined)
    this.ctx.output.record(joined, timestamp, entry.key)
  }
}
