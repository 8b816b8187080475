import { lending, lentOf, Operator, type OperatorContext, type Receiver } from './operator.ts'
import { refusePromise, userError } from './user-code.ts'

/** Passes on the records for which the predicate is true. That one changes no record, so that only those have to be copied which come through. */
export class FilterOperator<T> extends Operator {
  private readonly predicate: (value: T) => boolean
  private lentOutput!: Receiver
  override readonly lent = lending(
    (value, timestamp, key) => {
      if (this.keeps(value, timestamp)) this.lentOutput.record(value, timestamp, key)
    },
    timestamp => this.watermark(timestamp),
  )

  constructor(predicate: (value: T) => boolean) {
    super()
    this.predicate = predicate
  }

  override get shares(): boolean {
    return false
  }

  override open(ctx: OperatorContext): void {
    super.open(ctx)
    this.lentOutput = lentOf(ctx.output)
  }

  record(value: T, timestamp: number, key: unknown): void {
    if (this.keeps(value, timestamp)) this.ctx.output.record(value, timestamp, key)
  }

  private keeps(value: T, timestamp: number): boolean {
    let keep: boolean
    try {
      keep = this.predicate(value)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'filter', error)
    }
    // A promise would be true for every record.
    if (typeof keep === 'object') refusePromise(this.ctx, timestamp, 'filter', 'use mapAsync, then filter by its result', keep)
    return keep
  }
}
