import { Operator } from './operator.ts'
import { pickFields } from './pick.ts'

/** Keeps only these fields of each value. A field that a value does not have is not made. */
export class SelectOperator extends Operator {
  private readonly pick: (value: any) => Record<string, unknown>

  constructor(fields: readonly string[]) {
    super()
    this.pick = pickFields(fields)
  }

  override get shares(): boolean {
    return false
  }

  record(value: any, timestamp: number, key: unknown): void {
    this.ctx.output.record(this.pick(value), timestamp, key)
  }
}
