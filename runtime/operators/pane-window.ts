import type { KeyPart } from '../graph/key.ts'
import { DELETED, type KeyEntry, type MapSlot } from '../state/entry.ts'
import { OrderedSlot } from '../state/ordered-slot.ts'
import { type Fold, foldOf } from '../windows/aggregate.ts'
import type { SlidingAssigner } from '../windows/assigners.ts'
import type { WindowOptions } from '../windows/options.ts'
import { alignDown, paneWidth } from '../windows/window.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { Receiver } from './operator.ts'
import { userError } from './user-code.ts'
import { emitResult } from './window-function.ts'
import { ROUND, WindowRounds } from './window-rounds.ts'

/** The only state: number of the pane, from the offset on → accumulator. (Numbers are small where times are not: less to hash and to log.) */
const PANES = 0
/** In the place of the input's number: not a record, but what was added up of a pane. */
const PARTIAL = 1

/**
 * Tumbling and sliding windows that are aggregated or reduced, in panes: time is cut into pieces of gcd(size, slide), each record is added
 * to one of them, and a window that fires merges the panes it covers. So a record costs the same whatever size / slide.
 *
 * A pane exists until the last window over it has fired; while it does, a timer is set for the next of its windows: by the record that opened the
 * pane, then by each firing for the next one. Results equal those of WindowOperator with the default trigger and no allowed lateness.
 */
export class PaneWindowOperator extends KeyedOperator {
  private readonly options: WindowOptions
  private readonly fold: Fold
  private readonly size: number
  private readonly slide: number
  private readonly offset: number
  /** Width of a pane, ms. */
  private readonly pane: number
  /** Panes in a window. */
  private readonly panes: number
  private readonly eventTime: boolean
  /** The panes of a firing, in order of time. */
  private readonly numbers: number[] = []
  private readonly accs: any[] = []
  /** In the place of event timers, as long as nothing is logged: then all is in memory, the panes of each key in order. */
  private rounds: WindowRounds | undefined

  constructor(options: WindowOptions) {
    super()
    const assigner = options.assigner as SlidingAssigner
    this.options = options
    this.fold = foldOf(options)!
    this.size = assigner.size
    this.slide = assigner.slide
    this.offset = assigner.offset
    this.pane = paneWidth(assigner.size, assigner.slide)
    this.panes = this.size / this.pane
    this.eventTime = assigner.time === 'event'
  }

  override get partials(): Receiver {
    return { record: (acc, pane, key) => this.accept(PARTIAL, acc, pane, key), watermark() {} }
  }

  /** A firing sets the timer of the next window over the same panes, and takes those away that no other window covers. */
  protected override get finishes(): boolean {
    return true
  }

  /** As WindowOperator: a window of processing time ends when its last millisecond is over. */
  override fireProcessingTimers(now: number): Promise<boolean> {
    return super.fireProcessingTimers(now - 1)
  }

  override leaveUnlogged(): void {
    super.leaveUnlogged()
    if (this.eventTime) this.rounds = new WindowRounds()
  }

  override logAll(): void {
    super.logAll()
    const { rounds } = this
    if (rounds === undefined) return
    this.rounds = undefined
    for (const at of rounds.times()) this.eventTimers.delete(at, ROUND)
    for (const { at, key } of rounds.left()) this.eventTimers.set(at, key)
  }

  protected onRecord(entry: KeyEntry, value: any, timestamp: number, input: number): void {
    const time = this.eventTime ? timestamp : this.ctx.now()
    const end = this.firstOpenEnd(time)
    if (end - this.size > time) {
      this.onLate(entry, value, timestamp)
      return
    }
    const number = Math.floor((time - this.offset) / this.pane)
    const stored = this.slotOf(entry).entries.get(number)
    const acc = stored === DELETED ? undefined : stored
    // a pane that is there has its timer
    if (acc === undefined) this.fireAt(end - 1, entry)
    let added: any
    try {
      if (input !== PARTIAL) added = this.fold.add(acc, value)
      else added = acc === undefined ? value : this.fold.merge!(acc, value)
    } catch (error) {
      throw userError(this.ctx, timestamp, this.options.reduce === undefined ? 'the aggregate' : 'reduce', error)
    }
    this.state.mapSet(entry, PANES, number, added, 0)
  }

  private slotOf(entry: KeyEntry): MapSlot {
    if (this.rounds !== undefined) entry.values[PANES] ??= new OrderedSlot(true)
    return this.state.slot(entry, PANES)
  }

  private fireAt(at: number, entry: KeyEntry): void {
    if (!this.eventTime) this.processingTimers.set(at, entry.key)
    else if (this.rounds === undefined) this.eventTimers.set(at, entry.key)
    else if (this.rounds.add(at, entry)) this.eventTimers.set(at, ROUND)
  }

  /** The timer of a round stands for those of its keys. */
  protected override fire(key: KeyPart, at: number, tag: KeyPart, domain: 'event' | 'processing'): boolean {
    if (this.rounds === undefined || domain === 'processing') return super.fire(key, at, tag, domain)
    const isThrough = this.rounds.fire(at, entry => {
      try {
        this.onTimer(entry, at)
      } catch (error) {
        throw this.underKey(error, entry.key)
      }
      return !this.ctx.shouldYield()
    })
    if (!isThrough) this.eventTimers.set(at, ROUND)
    return true
  }

  protected override onTimer(entry: KeyEntry, at: number): void {
    const end = at + 1
    const start = end - this.size
    const first = (start - this.offset) / this.pane
    const acc = this.mergePanes(entry, first)
    // panes from here on are also in the next window
    const shared = first + this.slide / this.pane
    let more = false
    for (const number of this.numbers) {
      if (number >= shared) more = true
      else this.state.mapDelete(entry, PANES, number)
    }
    this.accs.length = 0
    if (more) this.fireAt(at + this.slide, entry)
    if (acc !== undefined) emitResult(this, this.options, this.fold, entry, { start, end }, acc, at)
  }

  /** The end of the first window that ends after `time` and has not fired; it covers `time` unless the record is late or in a gap. */
  private firstOpenEnd(time: number): number {
    // the ends are the starts moved by size: the first after x is one slide after the last at or before x
    const after = this.eventTime && this.currentWatermark >= time ? this.currentWatermark + 1 : time
    return alignDown(after - this.size, this.slide, this.offset) + this.slide + this.size
  }

  /** Merges the panes of a window in order of time, and leaves their numbers in `numbers`. */
  private mergePanes(entry: KeyEntry, first: number): any {
    const slot = this.state.slot(entry, PANES)
    const { entries } = slot
    const numbers = this.numbers
    const accs = this.accs
    const end = first + this.panes
    let ordered = true
    let count = 0
    if (slot instanceof OrderedSlot && this.rounds !== undefined) {
      // Those in front of the window went with the last one over them.
      for (; count < slot.numbers.length && slot.numbers[count]! < end; count++) {
        numbers[count] = slot.numbers[count]!
        accs[count] = slot.values[count]
      }
    } else if (entries.size < this.panes) {
      for (const [number, acc] of entries as Iterable<[number, any]>) {
        if (acc === DELETED || number < first || number >= end) continue
        if (count > 0 && number < numbers[count - 1]!) ordered = false
        numbers[count] = number
        accs[count++] = acc
      }
    } else {
      for (let number = first; number < end; number++) {
        const acc = entries.get(number)
        if (acc === undefined || acc === DELETED) continue
        numbers[count] = number
        accs[count++] = acc
      }
    }
    numbers.length = count
    accs.length = count
    if (!ordered) {
      numbers.sort((a, b) => a - b)
      for (let i = 0; i < count; i++) accs[i] = entries.get(numbers[i]!)
    }
    return this.panes === 1 ? accs[0] : this.mergeAll(accs, first * this.pane + this.offset + this.size - 1)
  }

  private mergeAll(accs: readonly any[], timestamp: number): any {
    let merged: any
    try {
      for (let i = 0; i < accs.length; i++) merged = this.fold.merge!(merged, accs[i])
    } catch (error) {
      throw userError(this.ctx, timestamp, this.options.reduce === undefined ? "the aggregate's merge" : 'reduce', error)
    }
    return merged
  }

  /** The record is in no open window: all have fired, or it lies in a gap between windows (then only what is behind the watermark is late). */
  private onLate(entry: KeyEntry, value: any, timestamp: number): void {
    if (!this.eventTime || timestamp > this.currentWatermark) return
    this.dropLate(this.options.late, value, timestamp, entry.key)
  }
}
