import type { KeyPart } from '../graph/key.ts'
import { StateAccess } from '../state/access.ts'
import { lazyMaps } from '../state/bind.ts'
import type { KeyEntry } from '../state/entry.ts'
import { StateError } from '../state/error.ts'
import { Guard } from '../state/guard.ts'
import type { StateSpecs } from '../state/spec.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { OperatorContext } from './operator.ts'
import { refusePromise, userError } from './user-code.ts'

const ONE_AT_A_TIME = 'state and output belong to one record at a time; use mapAsync before or after it'

/**
 * A keyed operator whose function is the user's and reads state through handles. Where map entries of the key may not be in memory, the function
 * runs under a guard: if it misses one, all it did is undone, the entry is loaded and the function called again. Where everything is in
 * memory, that costs nothing.
 */
export abstract class UserKeyedOperator extends KeyedOperator {
  protected access!: StateAccess
  /** Timestamp of the current record or timer. */
  timestamp = Number.NEGATIVE_INFINITY
  private readonly specs: StateSpecs
  /** In the place of an entry while no function of the user is being called. */
  private left!: KeyEntry

  constructor(specs: StateSpecs, inputs = 1) {
    super(inputs)
    this.specs = specs
  }

  /** Calls the user's function for a record; the result is refused if it is a promise. */
  protected abstract callRecord(value: any, input: number): unknown
  protected abstract callTimer(at: number, domain: 'event' | 'processing'): unknown
  /** What the user calls the function for this input, for errors. */
  protected abstract recordFunction(input: number): string

  override open(ctx: OperatorContext): void {
    super.open(ctx)
    this.left = leftBehind(ctx.operatorId)
    this.access = new StateAccess(this.state, () => ctx.now(), lazyMaps(this.specs))
  }

  protected override onRecord(entry: KeyEntry, value: any, timestamp: number, input: number): void {
    this.enter(entry, timestamp, timestamp)
    try {
      if (!this.access.incomplete()) this.runRecord(value, timestamp, input)
      else if (!this.guarded(entry, () => this.runRecord(value, timestamp, input))) {
        this.retryLater(input, value, timestamp, entry.key)
      }
    } finally {
      this.access.entry = this.left
    }
  }

  protected override fire(key: KeyPart, at: number, tag: KeyPart, domain: 'event' | 'processing'): boolean {
    const entry = this.state.lookup(key)
    if (entry === undefined) throw new Error(`timer of a key that was just loaded finds no state: ${String(key)}`)
    this.enter(entry, at, domain === 'event' ? at : this.eventTimeOfProcessingTimer(at))
    try {
      if (!this.access.incomplete()) {
        this.runTimer(at, domain)
        return true
      }
      if (this.guarded(entry, () => this.runTimer(at, domain))) return true
    } finally {
      this.access.entry = this.left
    }
    const timers = domain === 'event' ? this.eventTimers : this.processingTimers
    timers.set(at, key, tag)
    return false
  }

  protected get key(): KeyPart {
    return this.access.entry.key
  }

  private enter(entry: KeyEntry, timestamp: number, eventTime: number): void {
    this.access.entry = entry
    this.access.eventTime = eventTime
    this.timestamp = timestamp
  }

  private runRecord(value: any, timestamp: number, input: number): void {
    let result: unknown
    try {
      result = this.callRecord(value, input)
    } catch (error) {
      throw userError(this.ctx, timestamp, this.recordFunction(input), error)
    }
    if (result !== undefined) this.refuse(this.recordFunction(input), result)
  }

  private runTimer(at: number, domain: 'event' | 'processing'): void {
    let result: unknown
    try {
      result = this.callTimer(at, domain)
    } catch (error) {
      throw userError(this.ctx, at, 'onTimer', error)
    }
    if (result !== undefined) this.refuse('onTimer', result)
  }

  private refuse(fn: string, result: unknown): void {
    refusePromise(this.ctx, this.timestamp, fn, ONE_AT_A_TIME, result)
  }

  /** True: `body` came to its end. False: it missed state and nothing of it is left. */
  private guarded(entry: KeyEntry, body: () => void): boolean {
    const guard = new Guard()
    this.access.guard = guard
    try {
      body()
    } catch (error) {
      if (guard.misses.length === 0) throw error
    } finally {
      this.access.guard = undefined
    }
    if (guard.misses.length > 0) {
      guard.undo()
      for (const { index, subkeys } of guard.misses) this.miss(entry, index, subkeys)
      return false
    }
    guard.release()
    return true
  }

  /** Processing time may be years away from the events' (a replay): entries that live by event time age by the watermark then. */
  private eventTimeOfProcessingTimer(at: number): number {
    return Number.isFinite(this.passed) ? this.passed : at
  }
}

/** What a function finds that has kept its context for later: by then the key would be another record's. */
function leftBehind(operator: string): KeyEntry {
  const refuse = () => {
    throw new StateError(
      `the context of operator '${operator}' was used when the call that it was given to had returned: ${ONE_AT_A_TIME}`,
    )
  }
  return new Proxy({} as KeyEntry, { get: refuse })
}
