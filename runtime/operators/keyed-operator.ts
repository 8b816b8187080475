import { type KeyPart, userKey } from '../graph/key.ts'
import { BROADCAST_KEY } from '../state/broadcast.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import type { KeyedState } from '../state/keyed-state.ts'
import { Timers } from '../state/timers.ts'
import { Operator, type Receiver, WatermarkMerge } from './operator.ts'
import { UserCodeError } from './user-code.ts'

/** Keys whose timers of one time are loaded and fired together: all the keys of a large window would not fit in memory. */
const DUE_KEYS = 1000

/** Input that waits for state to be loaded. */
type Waiting = { input: number; value: any; timestamp: number; key: KeyPart } | { watermark: number }

/**
 * An operator with keyed state and timers. Subclasses see a record only when the state of its key is in memory, so they read
 * it synchronously: at a key that is not, all input queues up, and `drain` loads every key in the queue with one read.
 */
export abstract class KeyedOperator extends Operator {
  /** The operator's state, installed by the stage before `open`. */
  state!: KeyedState
  readonly eventTimers = new Timers()
  readonly processingTimers = new Timers()
  /** The operator's watermark: records at or below it may be late. */
  currentWatermark = Number.NEGATIVE_INFINITY
  /** Late records that had no side output to go to, since this instance was opened. */
  lateDropped = 0
  /** Stopped firing at a full commit; the stage commits and calls `resume`. */
  yielded = false

  /** A key whose state has to be in memory beside that of each record's own (broadcast state). */
  protected pinned: KeyPart | undefined

  /** Processing timers stopped firing at a full commit. Those that are left are due as before: nothing has to be remembered. */
  private full = false
  private waiting: Waiting[] = []
  /** Firing of timers for this watermark is under way (it stopped for cold state, or to yield). */
  private firing: number | undefined
  /** The last watermark that was passed on. */
  protected passed = Number.NEGATIVE_INFINITY
  /** At the end of the input: the processing timers that are left to fire. */
  private last: { readonly at: number; readonly key: KeyPart; readonly tag: KeyPart }[] | undefined
  private readonly merge: WatermarkMerge | undefined
  private readonly inputs: number

  constructor(inputs = 1) {
    super()
    this.inputs = inputs
    this.merge = inputs > 1 ? new WatermarkMerge(inputs) : undefined
  }

  /** One record, with the state of its key. Results go to `this.ctx.output`. */
  protected abstract onRecord(entry: KeyEntry, value: any, timestamp: number, input: number): void

  /** One due timer, which no longer exists. `domain` 'event' timers come in order of time, then key, then tag. */
  protected onTimer(_entry: KeyEntry, _at: number, _tag: KeyPart, _domain: 'event' | 'processing'): void {}

  /** After the timers of a watermark have fired and before it goes on. */
  protected onWatermark(_timestamp: number): void {}

  override input(index: number): Receiver {
    if (this.inputs === 1) return this
    return {
      record: (value, timestamp, key) => this.accept(index, value, timestamp, key),
      watermark: timestamp => {
        if (this.merge!.update(index, timestamp)) this.watermark(this.merge!.current)
      },
    }
  }

  record(value: any, timestamp: number, key: KeyPart): void {
    this.accept(0, value, timestamp, key)
  }

  override watermark(timestamp: number): void {
    if (this.pending || this.yielded) {
      this.waiting.push({ watermark: timestamp })
      return
    }
    this.advance(timestamp)
  }

  override get pending(): boolean {
    return !this.yielded && (this.waiting.length > 0 || this.firing !== undefined)
  }

  override async drain(): Promise<void> {
    while (this.pending) {
      await this.load()
      if (this.firing !== undefined) this.advance(this.firing)
      if (this.firing !== undefined) continue
      const queue = this.waiting
      this.waiting = []
      for (let i = 0; i < queue.length; i++) {
        const next = queue[i]!
        if ('watermark' in next) this.watermark(next.watermark)
        else this.accept(next.input, next.value, next.timestamp, next.key)
      }
    }
  }

  /** Before the first record, by who begins anew when it fails: timers stay in memory, and state does until `logAll()`. */
  leaveUnlogged(): void {
    for (const part of [this.state, this.eventTimers, this.processingTimers]) part.logs = false
  }

  /** Right behind a commit: the next one logs all the state that there is. Timers stay in memory. */
  logAll(): void {
    this.state.logAll()
  }

  /** Goes on firing after a commit. */
  resume(): void {
    this.yielded = false
    if (this.firing !== undefined) this.advance(this.firing)
  }

  /** For the commit item: the watermark that timers are still firing for. */
  get firingUpTo(): number | undefined {
    return this.firing
  }

  /** From the commit item: the watermark of each input, what was passed on, and where firing has to go on (the stage then calls `resume`). */
  restoreWatermarks(inputs: readonly number[], passed: number, firing: number | undefined): void {
    this.passed = passed
    inputs.forEach((w, i) => {
      this.merge?.update(i, w)
    })
    this.currentWatermark = firing ?? Math.min(...inputs)
    this.firing = firing
    this.yielded = firing !== undefined
  }

  /** Fires the processing timers due at `now`; the stage calls it when nothing is pending. False: the commit is full, some may be left. */
  async fireProcessingTimers(now: number): Promise<boolean> {
    this.full = false
    while (!this.full && this.processingTimers.size > 0 && this.processingTimers.next <= now) {
      const at = this.processingTimers.next
      await this.fireProcessing(this.processingTimers.due(at, DUE_KEYS).map(timer => ({ at, ...timer })))
    }
    return !this.full
  }

  /** Fires timers of the list in order; gives back those from the first one that missed state, to be fired when it is there, or that is too many. */
  private async fireProcessing(due: readonly { at: number; key: KeyPart; tag: KeyPart }[]) {
    await this.state.load(this.withPinned(due.map(d => d.key)))
    for (const [i, { at, key, tag }] of due.entries()) {
      // a first checkpoint may just have put a base behind what was all in memory
      if (!this.state.resident([due[i]!]) || (this.pinned !== undefined && !this.state.resident([{ key: this.pinned }])))
        return due.slice(i)
      if (!this.processingTimers.delete(at, key, tag)) continue
      // one that missed state goes first when it is there: the order may not depend on what is cold
      if (!this.fireOne(key, at, tag, 'processing')) return due.slice(i)
      if (this.pending) await this.drain()
      if (this.ctx.shouldYield()) {
        this.full = true
        return due.slice(i + 1)
      }
    }
    return []
  }

  /** A record that came too late: to the side output where there is one, else it is counted and gone. */
  protected dropLate(tag: { readonly id: string } | undefined, value: unknown, timestamp: number, key: KeyPart): void {
    if (tag === undefined) this.lateDropped++
    else this.ctx.side(tag.id).record(value, timestamp, key)
  }

  /** Parks the operator: what `missing` names is loaded before input goes on. */
  protected miss(entry: KeyEntry, state: number, subkeys: readonly KeyPart[] | 'all'): void {
    this.state.want(entry, state, subkeys)
  }

  /** Puts a record back in front of the queue: it is processed again once what it missed is loaded. */
  protected retryLater(input: number, value: any, timestamp: number, key: KeyPart): void {
    this.waiting.unshift({ input, value, timestamp, key })
  }

  /** Processes a record if it is its turn and the state is there; queues it otherwise. */
  protected accept(input: number, value: any, timestamp: number, key: KeyPart): void {
    if (this.waiting.length > 0 || this.firing !== undefined) {
      this.waiting.push({ input, value, timestamp, key })
      return
    }
    const entry = this.state.lookup(key)
    if (entry === undefined || (this.pinned !== undefined && this.state.lookup(this.pinned) === undefined)) {
      this.waiting.push({ input, value, timestamp, key })
      return
    }
    try {
      this.onRecord(entry, value, timestamp, input)
    } catch (error) {
      throw this.underKey(error, key)
    }
  }

  /** Fires what is due and passes the watermark on; stops for cold keys and to yield, and is then called again. */
  private advance(timestamp: number): void {
    this.firing = timestamp
    this.currentWatermark = timestamp
    // size: at the input's end `timestamp` is Infinity, and so is `next` when there are no timers
    while (this.eventTimers.size > 0 && this.eventTimers.next <= timestamp) {
      const at = this.eventTimers.next
      const due = this.eventTimers.due(at, DUE_KEYS)
      if (!this.state.resident(due)) return
      if (this.pinned !== undefined && this.state.lookup(this.pinned) === undefined) return
      for (const { key, tag } of due) {
        if (!this.eventTimers.delete(at, key, tag)) continue // deleted by one that fired just before
        this.eventTimers.earliestSet = Number.POSITIVE_INFINITY
        if (!this.fireOne(key, at, tag, 'event')) return
        if (this.ctx.shouldYield()) {
          this.yielded = true
          return
        }
        if (this.eventTimers.earliestSet <= at) break // one that comes before the rest, as it would after a restart
      }
    }
    if (timestamp === Number.POSITIVE_INFINITY && !this.endProcessingTimers()) return
    this.firing = undefined
    this.onWatermark(timestamp)
    this.passed = timestamp
    this.ctx.forwardWatermark(timestamp)
  }

  /** Whether processing timers that are set when the input is over fire as well: their number is known to be finite. */
  protected get finishes(): boolean {
    return false
  }

  /**
   * At the end of the input no clock runs on: the processing timers that are set fire once, whatever their time, behind the event timers and before anybody downstream
   * hears of the end. What they set does not fire, or a timer that sets itself again would never end. False: state is missing, or the commit is full.
   */
  private endProcessingTimers(): boolean {
    for (;;) {
      // Backwards, to be taken from the end.
      this.last ??= this.processingTimers.all().reverse()
      for (let due = this.last.at(-1); due !== undefined; due = this.last.at(-1)) {
        const { at, key, tag } = due
        if (!this.state.resident([due]) || (this.pinned !== undefined && !this.state.resident([{ key: this.pinned }])))
          return false
        if (this.processingTimers.delete(at, key, tag) && !this.fireOne(key, at, tag, 'processing')) return false
        this.last.pop()
        if (this.ctx.shouldYield()) {
          this.yielded = true
          return false
        }
      }
      this.last = undefined
      if (!this.finishes || this.processingTimers.size === 0) return true
    }
  }

  private fireOne(key: KeyPart, at: number, tag: KeyPart, domain: 'event' | 'processing'): boolean {
    try {
      return this.fire(key, at, tag, domain)
    } catch (error) {
      throw this.underKey(error, key)
    }
  }

  /** What this operator's own function threw, with the key that it was called for. */
  protected underKey(error: unknown, key: KeyPart): unknown {
    if (!(error instanceof UserCodeError) || error.operatorId !== this.ctx.operatorId || key === BROADCAST_KEY) return error
    return error.key === undefined ? error.withKey(userKey(key)) : error
  }

  /** False: the timer missed state and was set again. */
  protected fire(key: KeyPart, at: number, tag: KeyPart, domain: 'event' | 'processing'): boolean {
    const entry = this.state.lookup(key)
    if (entry === undefined) throw new Error(`timer of a key that was just loaded finds no state: ${String(key)}`)
    this.onTimer(entry, at, tag, domain)
    return true
  }

  /** Everything that the queue and the due timers need, in one read. */
  private async load(): Promise<void> {
    const keys: KeyPart[] = []
    for (const w of this.waiting) if (!('watermark' in w)) keys.push(w.key)
    if (this.firing !== undefined && this.eventTimers.next <= this.firing) {
      for (const d of this.eventTimers.due(this.eventTimers.next, DUE_KEYS)) keys.push(d.key)
    }
    for (const { key } of this.last?.slice(-DUE_KEYS) ?? []) keys.push(key)
    await this.state.load(this.withPinned(keys))
  }

  private withPinned(keys: KeyPart[]): KeyPart[] {
    if (this.pinned !== undefined) keys.push(this.pinned)
    return keys
  }
}

export type { StateDeclaration }
