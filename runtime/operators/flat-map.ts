import { Operator } from './operator.ts'
import { refusePromise, UserCodeError, userError } from './user-code.ts'

/** One value in, any number out, with the timestamp of the one. Generators are consumed as they go. */
export class FlatMapOperator<T, R> extends Operator {
  private readonly fn: (value: T) => Iterable<R>

  constructor(fn: (value: T) => Iterable<R>) {
    super()
    this.fn = fn
  }

  record(value: T, timestamp: number, key: unknown): void {
    try {
      const results = this.fn(value)
      if (!Array.isArray(results)) this.check(results, timestamp)
      for (const result of results) this.ctx.output.record(result, timestamp, key)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'flatMap', error)
    }
  }

  private check(results: unknown, timestamp: number): void {
    refusePromise(this.ctx, timestamp, 'flatMap', 'use mapAsync, then flatMap its result', results)
    // A string is iterable, but hardly anyone means its characters.
    if (typeof results === 'object' && results !== null && Symbol.iterator in results) return
    throw new UserCodeError(
      this.ctx.operatorId,
      timestamp,
      `flatMap returned ${typeof results}: return an array or another iterable`,
    )
  }
}
