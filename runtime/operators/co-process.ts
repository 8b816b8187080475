import type { Key } from '../graph/key.ts'
import type { NoStates, StateSpecs } from '../state/spec.ts'
import { ProcessBase } from './process-base.ts'
import type { ProcessContext, TimeDomain } from './process-context.ts'

/** A process function on two streams with the same key, which share state and timers. */
export interface CoProcessFunction<A, B, O, S extends StateSpecs = NoStates, K extends Key = Key> {
  readonly states?: S
  onFirst(value: A, ctx: ProcessContext<O, S, K>): void
  onSecond(value: B, ctx: ProcessContext<O, S, K>): void
  onTimer?(at: number, ctx: ProcessContext<O, S, K>, domain: TimeDomain): void
}

/** Input 0 goes to `onFirst`, input 1 to `onSecond`. Its node declares `declareStates(fn.states ?? {})`. */
export class CoProcessOperator<A, B, O, S extends StateSpecs = NoStates> extends ProcessBase<O, S> {
  private readonly fn: CoProcessFunction<A, B, O, S, any>

  constructor(fn: CoProcessFunction<A, B, O, S, any>) {
    super(fn.states ?? ({} as S), fn.onTimer?.bind(fn), 2)
    this.fn = fn
  }

  protected override callRecord(value: any, input: number): unknown {
    return (input === 0 ? this.fn.onFirst(value, this.context) : this.fn.onSecond(value, this.context)) as unknown
  }

  protected override recordFunction(input: number): string {
    return input === 0 ? 'onFirst' : 'onSecond'
  }
}
