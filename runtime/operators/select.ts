import { lending, lentOf, Operator, type OperatorContext, type Receiver } from './operator.ts'
import { pickFields } from './pick.ts'

/** Keeps only these fields of each value. A field that a value does not have is not made. */
export class SelectOperator extends Operator {
  private readonly pick: (value: any) => Record<string, unknown>
  private lentOutput!: Receiver
  /** What is in a field is the value's, too. */
  override readonly lent = lending(
    (value, timestamp, key) => this.lentOutput.record(this.pick(value), timestamp, key),
    timestamp => this.watermark(timestamp),
  )

  constructor(fields: readonly string[]) {
    super()
    this.pick = pickFields(fields)
  }

  override get shares(): boolean {
    return false
  }

  override open(ctx: OperatorContext): void {
    super.open(ctx)
    this.lentOutput = lentOf(ctx.output)
  }

  record(value: any, timestamp: number, key: unknown): void {
    this.ctx.output.record(this.pick(value), timestamp, key)
  }
}
