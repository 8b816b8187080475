import { Operator } from './operator.ts'
import { refusePromise, userError } from './user-code.ts'

/** One value in, one value out. */
export class MapOperator<T, R> extends Operator {
  private readonly fn: (value: T) => R

  constructor(fn: (value: T) => R) {
    super()
    this.fn = fn
  }

  override get shares(): boolean {
    return false
  }

  record(value: T, timestamp: number, key: unknown): void {
    let result: R
    try {
      result = this.fn(value)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'map', error)
    }
    if (typeof result === 'object') refusePromise(this.ctx, timestamp, 'map', 'use mapAsync for calls that take time', result)
    this.ctx.output.record(result, timestamp, key)
  }
}
