import type { StateAccess } from './access.ts'
import { copyValue } from './copy.ts'
import type { AggregatingState } from './handles.ts'
import type { Accumulation } from './spec.ts'

export class AggregatingHandle<I, A, O> implements AggregatingState<I, O> {
  private readonly access: StateAccess
  private readonly index: number
  private readonly aggregate: Accumulation<I, A, O>

  constructor(access: StateAccess, index: number, aggregate: Accumulation<I, A, O>) {
    this.access = access
    this.index = index
    this.aggregate = aggregate
  }

  get(): O | undefined {
    const accumulator: A | undefined = this.access.read(this.index)
    return accumulator === undefined ? undefined : copyValue(this.aggregate.getResult(accumulator))
  }

  add(value: I): void {
    const accumulator: A = this.access.read(this.index) ?? this.aggregate.createAccumulator()
    this.access.write(this.index, this.aggregate.add(value, accumulator))
  }

  clear(): void {
    this.access.write(this.index, undefined)
  }
}
