import type { Key } from '../graph/key.ts'
import type { NoStates, StateSpecs } from '../state/spec.ts'
import { ProcessBase } from './process-base.ts'
import type { ProcessContext, TimeDomain } from './process-context.ts'

/** A keyed process function: state, timers and side outputs. All of it is synchronous; state that is not in memory is loaded for it. */
export interface ProcessFunction<I, O, S extends StateSpecs = NoStates, K extends Key = Key> {
  readonly states?: S
  onRecord(value: I, ctx: ProcessContext<O, S, K>): void
  /** A timer of the current key that is due and no longer set; it fires once. */
  onTimer?(at: number, ctx: ProcessContext<O, S, K>, domain: TimeDomain): void
}

/** Its node declares `declareStates(fn.states ?? {})`. */
export class ProcessOperator<I, O, S extends StateSpecs = NoStates> extends ProcessBase<O, S> {
  private readonly fn: ProcessFunction<I, O, S, any>

  constructor(fn: ProcessFunction<I, O, S, any>) {
    super(fn.states ?? ({} as S), fn.onTimer?.bind(fn))
    this.fn = fn
  }

  protected override callRecord(value: I): unknown {
    return this.fn.onRecord(value, this.context) as unknown
  }

  protected override recordFunction(): string {
    return 'onRecord'
  }
}
