import { Operator } from './operator.ts'
import { refusePromise, userError } from './user-code.ts'

/** Passes on the records for which the predicate is true. */
export class FilterOperator<T> extends Operator {
  private readonly predicate: (value: T) => boolean

  constructor(predicate: (value: T) => boolean) {
    super()
    this.predicate = predicate
  }

  override get shares(): boolean {
    return false
  }

  record(value: T, timestamp: number, key: unknown): void {
    let keep: boolean
    try {
      keep = this.predicate(value)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'filter', error)
    }
    // A promise would be true for every record.
    if (typeof keep === 'object') refusePromise(this.ctx, timestamp, 'filter', 'use mapAsync, then filter by its result', keep)
    if (keep) this.ctx.output.record(value, timestamp, key)
  }
}
