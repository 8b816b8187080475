import { Operator } from './operator.ts'

/** Keeps only these fields of each value. A field that a value does not have is not made. */
export class SelectOperator extends Operator {
  private readonly fields: readonly string[]

  constructor(fields: readonly string[]) {
    super()
    this.fields = fields
  }

  override get shares(): boolean {
    return false
  }

  record(value: any, timestamp: number, key: unknown): void {
    const selected: Record<string, unknown> = {}
    for (let i = 0; i < this.fields.length; i++) {
      const field = this.fields[i]!
      if (field in value) selected[field] = value[field]
    }
    this.ctx.output.record(selected, timestamp, key)
  }
}
