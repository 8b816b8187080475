import type { Key, KeyPart } from '../graph/key.ts'
import { bindHandles } from '../state/bind.ts'
import { copyValue } from '../state/copy.ts'
import type { HandlesOf, StateSpecs } from '../state/spec.ts'
import type { Timers } from '../state/timers.ts'
import type { OperatorContext, Receiver } from './operator.ts'
import type { OutputTag } from './output-tag.ts'
import type { ProcessContext, TimeDomain, TimerService } from './process-context.ts'
import { tagOf, UserCodeError, wholeMs } from './user-code.ts'
import { UserKeyedOperator } from './user-keyed-operator.ts'

/** What all process functions with a key share: one context object for the operator, on which state, timers and outputs hang. */
export abstract class ProcessBase<O, S extends StateSpecs> extends UserKeyedOperator {
  protected context!: ProcessContext<O, S, any>
  protected readonly stateSpecs: S
  private readonly timerFunction: ((at: number, ctx: any, domain: TimeDomain) => void) | undefined

  constructor(specs: S, onTimer: ((at: number, ctx: any, domain: TimeDomain) => void) | undefined, inputs = 1) {
    super(specs, inputs)
    this.stateSpecs = specs
    this.timerFunction = onTimer
  }

  override open(ctx: OperatorContext): void {
    super.open(ctx)
    this.context = new Context(this, bindHandles(this.stateSpecs, this.access))
  }

  protected override callTimer(at: number, domain: TimeDomain): unknown {
    return this.timerFunction?.(at, this.context, domain)
  }

  /** @internal For the context. */
  currentKey(): Key {
    return this.access.entry.userKey
  }

  /** @internal */
  send(receiver: Receiver, value: unknown, timestamp: number): void {
    const { key } = this
    if (this.access.guard === undefined) {
      receiver.record(value, timestamp, key)
      return
    }
    // As it is now: the function may go on changing the object.
    const emitted = copyValue(value)
    this.access.guard.defer(() => receiver.record(emitted, timestamp, key))
  }

  /** @internal */
  timer(domain: TimeDomain, set: boolean, at: number): void {
    if (typeof at !== 'number' || Number.isNaN(at)) {
      throw new UserCodeError(
        this.ctx.operatorId,
        this.timestamp,
        `a timer's time must be a number of epoch ms, not ${String(at)}`,
      )
    }
    if (set && this.timerFunction === undefined) {
      throw new UserCodeError(this.ctx.operatorId, this.timestamp, 'a timer was set, but the process function has no onTimer')
    }
    const timers = domain === 'event' ? this.eventTimers : this.processingTimers
    const { key } = this
    if (this.access.guard === undefined) change(timers, set, at, key)
    else this.access.guard.defer(() => change(timers, set, at, key))
  }
}

function change(timers: Timers, set: boolean, at: number, key: KeyPart): void {
  if (set) timers.set(at, key)
  else timers.delete(at, key)
}

class Context<O, S extends StateSpecs> implements ProcessContext<O, S> {
  readonly state: HandlesOf<S>
  readonly timers: { readonly event: TimerService; readonly processing: TimerService }
  private readonly operator: ProcessBase<O, S>

  constructor(operator: ProcessBase<O, S>, state: HandlesOf<S>) {
    this.operator = operator
    this.state = state
    this.timers = { event: timerService(operator, 'event'), processing: timerService(operator, 'processing') }
  }

  get key(): Key {
    return this.operator.currentKey()
  }

  get timestamp(): number {
    return this.operator.timestamp
  }

  get currentWatermark(): number {
    return this.operator.currentWatermark
  }

  processingTime(): number {
    return this.operator.ctx.now()
  }

  emit(value: O, timestamp = this.operator.timestamp): void {
    this.operator.send(this.operator.ctx.output, value, wholeMs(this.operator, timestamp))
  }

  output<X>(tag: OutputTag<X>, value: X, timestamp = this.operator.timestamp): void {
    this.operator.send(
      this.operator.ctx.side(tagOf(this.operator.ctx, this.operator.timestamp, tag)),
      value,
      wholeMs(this.operator, timestamp),
    )
  }
}

function timerService(operator: ProcessBase<any, any>, domain: TimeDomain): TimerService {
  return {
    set: at => operator.timer(domain, true, at),
    delete: at => operator.timer(domain, false, at),
  }
}
