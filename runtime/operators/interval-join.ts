import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { TimeBuffer } from '../state/time-buffer.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { OperatorContext } from './operator.ts'
import type { OutputTag } from './output-tag.ts'
import { refusePromise, userError } from './user-code.ts'

/** Each record is kept as long as one of the other side may come that it meets: that is not below the watermark. */
export function intervalJoinStates({ lowerMs, upperMs }: Bounds): readonly StateDeclaration[] {
  return [
    { name: 'left', primitive: 'map', load: 'all', keptMs: Math.max(0, upperMs) },
    { name: 'right', primitive: 'map', load: 'all', keptMs: Math.max(0, -lowerMs) },
  ]
}

interface Bounds {
  /** A left record of time t meets the right ones of t + lowerMs <= time <= t + upperMs. Either may be negative. */
  readonly lowerMs: number
  readonly upperMs: number
}

export interface IntervalJoinOptions<L, R, O> extends Bounds {
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
  /** What is in memory already will be swept, too. */
  private watched = false

  constructor(options: IntervalJoinOptions<L, R, O>) {
    super(2)
    this.options = options
  }

  /** As of a map: the function has made its result, of copies. */
  override get shares(): boolean {
    return false
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
      this.right.range(entry, timestamp + lowerMs, timestamp + upperMs, (right, at) => {
        this.emit(entry, value, right, Math.max(timestamp, at))
      })
    } else {
      this.right.add(entry, timestamp, value)
      this.left.range(entry, timestamp - upperMs, timestamp - lowerMs, (left, at) => {
        this.emit(entry, left, value, Math.max(timestamp, at))
      })
    }
  }

  protected override onWatermark(timestamp: number): void {
    if (!this.watched) this.watch()
    this.left.sweep(timestamp)
    this.right.sweep(timestamp)
  }

  private watch(): void {
    this.watched = true
    for (const entry of this.state.entries.values()) {
      this.left.watch(entry)
      this.right.watch(entry)
    }
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
