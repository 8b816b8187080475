import type { Key, KeyPart } from '../graph/key.ts'
import { StateAccess } from '../state/access.ts'
import { bindHandles } from '../state/bind.ts'
import { BROADCAST_KEY } from '../state/broadcast.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import type { MapState } from '../state/handles.ts'
import { declareStates, type MapSpec, type StateSpecs } from '../state/spec.ts'
import type { OperatorContext, Receiver } from './operator.ts'
import type { OutputTag } from './output-tag.ts'
import { ProcessBase } from './process-base.ts'
import type { ProcessContext, TimeDomain } from './process-context.ts'
import { refusePromise, tagOf, UserCodeError, userError } from './user-code.ts'

/** Broadcast state: maps, the same for all keys, in every subtask. */
export type BroadcastSpecs = { readonly [name: string]: MapSpec<any, any> }

export type BroadcastHandles<B extends BroadcastSpecs> = {
  readonly [N in keyof B]: B[N] extends MapSpec<infer K, infer V> ? MapState<K, V> : never
}

export type ReadonlyBroadcastHandles<B extends BroadcastSpecs> = {
  readonly [N in keyof B]: B[N] extends MapSpec<infer K, infer V> ? Omit<MapState<K, V>, 'set' | 'delete' | 'clear'> : never
}

export interface KeyedBroadcastContext<O, S extends StateSpecs, B extends BroadcastSpecs, K extends Key = Key>
  extends ProcessContext<O, S, K> {
  /** As of the last broadcast record that this subtask has seen. What it gives back must not be changed. */
  readonly broadcast: ReadonlyBroadcastHandles<B>
}

/** What `onBroadcast` sees: no key, so no keyed state and no timers. */
export interface BroadcastContext<O, B extends BroadcastSpecs> {
  readonly timestamp: number
  readonly currentWatermark: number
  processingTime(): number
  readonly broadcast: BroadcastHandles<B>
  emit(value: O, timestamp?: number): void
  output<X>(tag: OutputTag<X>, value: X, timestamp?: number): void
}

/**
 * A process function on a keyed stream and a broadcast one. Every subtask sees all broadcast records and keeps its own copy of the
 * broadcast state, so `onBroadcast` must change it by the record alone, or the copies drift apart.
 */
export interface BroadcastProcessFunction<A, C, O, S extends StateSpecs, B extends BroadcastSpecs, K extends Key = Key> {
  readonly states?: S
  readonly broadcast: B
  onRecord(value: A, ctx: KeyedBroadcastContext<O, S, B, K>): void
  onBroadcast(value: C, ctx: BroadcastContext<O, B>): void
  onTimer?(at: number, ctx: KeyedBroadcastContext<O, S, B, K>, domain: TimeDomain): void
}

/** The states of the operator's node: the keyed ones, then the broadcast ones. */
export function broadcastProcessStates(fn: { states?: StateSpecs; broadcast: BroadcastSpecs }): StateDeclaration[] {
  return [...declareStates(fn.states ?? {}), ...declareStates(resident(fn.broadcast))]
}

/** Input 0 is keyed, input 1 broadcast. */
export class BroadcastProcessOperator<A, C, O, S extends StateSpecs, B extends BroadcastSpecs> extends ProcessBase<O, S> {
  protected override pinned = BROADCAST_KEY
  private readonly fn: BroadcastProcessFunction<A, C, O, S, B, any>
  /** The handles of broadcast state work on the pinned entry, whatever the current key is. */
  private shared!: StateAccess
  private keyedContext!: KeyedBroadcastContext<O, S, B, any>
  private broadcastContext!: BroadcastContext<O, B>

  constructor(fn: BroadcastProcessFunction<A, C, O, S, B, any>) {
    super(fn.states ?? ({} as S), fn.onTimer?.bind(fn), 2)
    this.fn = fn
  }

  override open(ctx: OperatorContext): void {
    super.open(ctx)
    this.shared = new StateAccess(this.state, () => ctx.now(), [])
    const handles = bindHandles(resident(this.fn.broadcast), this.shared, declareStates(this.stateSpecs).length)
    this.keyedContext = Object.defineProperty(this.context, 'broadcast', {
      value: Object.fromEntries(Object.entries(handles).map(([name, handle]) => [name, this.readOnly(name, handle)])),
    }) as any
    this.broadcastContext = this.makeBroadcastContext(handles as unknown as BroadcastHandles<B>)
  }

  override input(index: number): Receiver {
    const receiver = super.input(index)
    if (index === 0) return receiver
    return {
      record: (value, timestamp) => this.accept(1, value, timestamp, BROADCAST_KEY),
      watermark: timestamp => receiver.watermark(timestamp),
    }
  }

  protected override onRecord(entry: KeyEntry, value: any, timestamp: number, input: number): void {
    this.shared.entry = this.state.lookup(BROADCAST_KEY)!
    this.shared.eventTime = timestamp
    if (input === 0) super.onRecord(entry, value, timestamp, input)
    else this.onBroadcast(value, timestamp)
  }

  protected override fire(key: KeyPart, at: number, tag: KeyPart, domain: TimeDomain): boolean {
    this.shared.entry = this.state.lookup(BROADCAST_KEY)!
    this.shared.eventTime = at
    return super.fire(key, at, tag, domain)
  }

  protected override callRecord(value: any): unknown {
    return this.fn.onRecord(value, this.keyedContext) as unknown
  }

  protected override recordFunction(): string {
    return 'onRecord'
  }

  /** No guard: the state that it can touch is all in memory. */
  private onBroadcast(value: C, timestamp: number): void {
    this.timestamp = timestamp
    let result: unknown
    try {
      result = this.fn.onBroadcast(value, this.broadcastContext) as unknown
    } catch (error) {
      throw userError(this.ctx, timestamp, 'onBroadcast', error)
    }
    if (result !== undefined) refusePromise(this.ctx, timestamp, 'onBroadcast', 'use mapAsync before it', result)
  }

  /** For `onRecord` and `onTimer`: what they changed would be so in this subtask alone. */
  private readOnly<H extends object>(name: string, handle: H): H {
    const refuse = (): never => {
      throw new UserCodeError(
        this.ctx.operatorId,
        this.timestamp,
        `the broadcast state '${name}' can only be changed by onBroadcast, which every subtask is called with`,
      )
    }
    return Object.create(handle, { set: { value: refuse }, delete: { value: refuse }, clear: { value: refuse } })
  }

  /** What it emits has no key. */
  private makeBroadcastContext(broadcast: BroadcastHandles<B>): BroadcastContext<O, B> {
    const operator = this
    return {
      get timestamp() {
        return operator.timestamp
      },
      get currentWatermark() {
        return operator.currentWatermark
      },
      processingTime: () => operator.ctx.now(),
      broadcast,
      emit: (value, timestamp = operator.timestamp) => operator.ctx.output.record(value, timestamp, undefined),
      output: (tag, value, timestamp = operator.timestamp) =>
        operator.ctx.side(tagOf(operator.ctx, operator.timestamp, tag)).record(value, timestamp, undefined),
    }
  }
}

/** Broadcast state is in memory whole, so that reading it never waits. */
function resident<B extends BroadcastSpecs>(specs: B): B {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [name, { ...spec, load: 'all' as const }]),
  ) as unknown as B
}
