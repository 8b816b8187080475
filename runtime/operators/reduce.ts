import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { KeyedOperator } from './keyed-operator.ts'
import { refusePromise, UserCodeError, userError } from './user-code.ts'

export const REDUCE_STATES: readonly StateDeclaration[] = [{ name: 'reduced', primitive: 'value' }]

/** Running reduce of a keyed stream: emits the accumulated value after each record. The first value of a key is taken as it is. */
export class ReduceOperator<T> extends KeyedOperator {
  private readonly fn: (accumulated: T, value: T) => T

  constructor(fn: (accumulated: T, value: T) => T) {
    super()
    this.fn = fn
  }

  protected onRecord(entry: KeyEntry, value: T, timestamp: number): void {
    const accumulated: T | undefined = this.state.value(entry, 0, 0)
    let reduced = value
    if (accumulated !== undefined) {
      try {
        reduced = this.fn(accumulated, value)
      } catch (error) {
        throw userError(this.ctx, timestamp, 'reduce', error)
      }
    }
    if (reduced === undefined)
      throw new UserCodeError(this.ctx.operatorId, timestamp, 'reduce returned undefined; it has to return what is kept')
    refusePromise(this.ctx, timestamp, 'reduce', 'use mapAsync before it', reduced)
    this.state.setValue(entry, 0, reduced, 0)
    this.ctx.output.record(reduced, timestamp, entry.key)
  }
}
