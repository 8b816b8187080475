import { type KeyPart, userKey } from '../graph/key.ts'
import { copyValue } from '../state/copy.ts'
import type { KeyEntry } from '../state/entry.ts'
import { type Fold, foldOf } from '../windows/aggregate.ts'
import { defaultTrigger, type SessionAssigner } from '../windows/assigners.ts'
import type { Evictor, TimestampedValue } from '../windows/evictors.ts'
import { evictorOf, keepsElements, validateWindow, type WindowOptions } from '../windows/options.ts'
import type { Trigger, TriggerResult } from '../windows/triggers.ts'
import { alignDown, GLOBAL_WINDOW } from '../windows/window.ts'
import { KeyedOperator } from './keyed-operator.ts'
import { sessionGap } from './session-gap.ts'
import { UserCodeError, userError } from './user-code.ts'
import { emitProcessed, emitResult } from './window-function.ts'
import { BoundTriggerContext, ELEMENTS, elementBuffer, newWindowState, WINDOWS, type WindowState } from './window-state.ts'

/** Firings of one record whose elements have to be loaded first; goes through the input queue in the record's place. */
class ParkedFirings {
  readonly list: { readonly id: number; readonly purge: boolean }[] = []
}

/**
 * Windows in general, as Flink's WindowOperator: any assigner, trigger and evictor, allowed lateness, and merging sessions. Contents are one
 * accumulator a window, or the records themselves for full-window functions and evictors. A record is added to each of its windows
 * (PaneWindowOperator does that once for all). Windows of one time fire by key, then by start.
 */
export class WindowOperator extends KeyedOperator {
  protected readonly options: WindowOptions
  private readonly eventTime: boolean
  private readonly lateness: number
  private readonly trigger: Trigger
  private readonly evictor: Evictor<any> | undefined
  private readonly fold: Fold | undefined
  private readonly buffered: boolean
  private readonly context = new BoundTriggerContext(this)
  private parked: ParkedFirings | undefined

  constructor(options: WindowOptions, inputs = 1) {
    super(inputs)
    validateWindow(options)
    this.options = options
    this.eventTime = options.assigner.time === 'event'
    this.lateness = options.allowedLateness ?? 0
    this.trigger = options.trigger ?? defaultTrigger(options.assigner)
    this.evictor = evictorOf(options)
    this.fold = foldOf(options)
    this.buffered = keepsElements(options)
  }

  /** The clock passes a window's end when its last millisecond is over, as in Flink; so records of that millisecond are still in. */
  override fireProcessingTimers(now: number): Promise<boolean> {
    return super.fireProcessingTimers(now - 1)
  }

  /** What is kept of a record of this input. */
  protected element(value: any, _input: number): any {
    return value
  }

  /** What a kept record was. */
  protected original(element: any): any {
    return element
  }

  protected onRecord(entry: KeyEntry, value: any, timestamp: number, input: number): void {
    if (value instanceof ParkedFirings) {
      this.fireParked(entry, value)
      return
    }
    const element = this.element(value, input)
    const assigner = this.options.assigner
    let late = false
    if (assigner.kind === 'sliding')
      late = !this.addToSliding(entry, element, timestamp, assigner.size, assigner.slide, assigner.offset)
    else if (assigner.kind === 'session') late = !this.addToSession(entry, element, timestamp)
    else
      this.addToWindow(
        entry,
        0,
        this.window(entry, 0) ?? newWindowState(GLOBAL_WINDOW.start, GLOBAL_WINDOW.end),
        element,
        timestamp,
      )
    if (this.parked !== undefined) {
      this.retryLater(input, this.parked, timestamp, entry.key)
      this.parked = undefined
    }
    if (late && this.eventTime && timestamp + this.lateness <= this.currentWatermark) this.onLate(entry, value, timestamp)
  }

  protected override fire(key: KeyPart, at: number, tag: KeyPart, domain: 'event' | 'processing'): boolean {
    if (this.buffered) {
      const entry = this.state.lookup(key)
      const window = entry === undefined ? undefined : this.window(entry, tag as number)
      if (window !== undefined && !this.inMemory(entry!, window)) {
        const timers = domain === 'event' ? this.eventTimers : this.processingTimers
        timers.set(at, key, tag)
        return false
      }
    }
    return super.fire(key, at, tag, domain)
  }

  protected override onTimer(entry: KeyEntry, at: number, tag: KeyPart, domain: 'event' | 'processing'): void {
    const id = tag as number
    const window = this.window(entry, id)
    if (window === undefined) return
    const event = domain === 'event'
    const ctx = this.context.bind(entry, id, window)
    let result: TriggerResult
    try {
      result = event ? this.trigger.onEventTime(at, window, ctx) : this.trigger.onProcessingTime(at, window, ctx)
    } catch (error) {
      throw userError(this.ctx, at, 'the trigger', error)
    }
    this.act(entry, id, window, result)
    if (event === this.eventTime && at === this.cleanupTime(window)) this.closeWindow(entry, id, window)
    else this.save(entry, id, window)
  }

  // ---- adding ---------------------------------------------------------------------------------------------------------

  /** False: all windows of the record are over. */
  private addToSliding(entry: KeyEntry, element: any, timestamp: number, size: number, slide: number, offset: number): boolean {
    const time = this.eventTime ? timestamp : this.ctx.now()
    let added = false
    for (let start = alignDown(time - size, slide, offset) + slide; start <= time; start += slide) {
      if (this.isOver(start + size)) continue
      added = true
      this.addToWindow(entry, start, this.window(entry, start) ?? newWindowState(start, start + size), element, timestamp)
    }
    return added
  }

  private addToSession(entry: KeyEntry, element: any, timestamp: number): boolean {
    const start = this.eventTime ? timestamp : this.ctx.now()
    const end = start + this.gapOf(element, timestamp)
    const touched: [number, WindowState][] = []
    for (const [id, window] of this.state.mapEntries(entry, WINDOWS, 0)) {
      if (window.start <= end && start <= window.end) touched.push([id as number, window])
    }
    if (touched.length === 0) {
      if (this.isOver(end)) return false
      this.addToWindow(entry, start, newWindowState(start, end), element, timestamp)
      return true
    }
    const [id, window] = touched[0]!
    const inside = touched.length === 1 && window.start <= start && end <= window.end
    if (inside) this.addToWindow(entry, id, window, element, timestamp)
    else {
      touched.sort((a, b) => a[1].start - b[1].start)
      this.addToWindow(entry, touched[0]![0], this.merged(entry, touched, start, end), element, timestamp)
    }
    return true
  }

  /** One window of those that the record touches, earliest first; it takes over the id of the first. */
  private merged(entry: KeyEntry, touched: readonly [number, WindowState][], start: number, end: number): WindowState {
    const before: Record<string, any>[] = []
    for (const [id, old] of touched) {
      before.push({ ...old.trigger })
      this.trigger.clear(old, this.context.bind(entry, id, old))
      this.deleteCleanup(entry, id, old)
    }
    const [id, first] = touched[0]!
    const window = newWindowState(Math.min(start, first.start), Math.max(end, touched.at(-1)![1].end))
    window.acc = first.acc
    window.runs = first.runs
    for (const [otherId, other] of touched.slice(1)) {
      if (other.acc !== undefined) window.acc = window.acc === undefined ? other.acc : this.fold!.merge!(window.acc, other.acc)
      if (other.runs !== undefined) window.runs = [...(window.runs ?? []), ...other.runs]
      this.state.mapDelete(entry, WINDOWS, otherId)
    }
    this.trigger.onMerge!(window, this.context.bind(entry, id, window, before))
    return window
  }

  private addToWindow(entry: KeyEntry, id: number, window: WindowState, element: any, timestamp: number): void {
    if (this.buffered) {
      const kept = this.evictor === undefined ? element : ({ value: element, timestamp } satisfies TimestampedValue<any>)
      elementBuffer.append(this.state, entry, id, window, kept)
    } else {
      try {
        window.acc = this.fold!.add(window.acc, element)
      } catch (error) {
        throw userError(this.ctx, timestamp, this.options.reduce === undefined ? 'the aggregate' : 'reduce', error)
      }
    }
    if (this.options.assigner.kind === 'global') window.last = Math.max(window.last ?? timestamp, timestamp)
    let result: TriggerResult
    try {
      result = this.trigger.onElement(this.original(element), timestamp, window, this.context.bind(entry, id, window))
    } catch (error) {
      throw userError(this.ctx, timestamp, 'the trigger', error)
    }
    this.act(entry, id, window, result)
    const cleanup = this.cleanupTime(window)
    if (cleanup < Number.POSITIVE_INFINITY) {
      const timers = this.eventTime ? this.eventTimers : this.processingTimers
      timers.set(cleanup, entry.key, id)
    }
    this.save(entry, id, window)
  }

  /** A late record, which is in no open window. */
  private onLate(entry: KeyEntry, value: any, timestamp: number): void {
    this.dropLate(this.options.late, value, timestamp, entry.key)
  }

  // ---- firing ---------------------------------------------------------------------------------------------------------

  private act(entry: KeyEntry, id: number, window: WindowState, result: TriggerResult): void {
    if (result === 'CONTINUE') return
    if (result !== 'FIRE' && result !== 'PURGE' && result !== 'FIRE_AND_PURGE') throw this.noResult(entry, result)
    const purge = result !== 'FIRE'
    if (result !== 'PURGE') {
      // once one firing of a record waits, those after it do too: results keep their order
      if (!this.inMemory(entry, window) || this.parked !== undefined) {
        this.parked ??= new ParkedFirings()
        this.parked.list.push({ id, purge })
        return
      }
      this.emit(entry, id, window)
    }
    if (purge) this.purge(entry, window)
  }

  private noResult(entry: KeyEntry, result: unknown): Error {
    const given = typeof result === 'string' ? `'${result}'` : String(result)
    return new UserCodeError(
      this.ctx.operatorId,
      undefined,
      `the trigger gave ${given}: it gives 'CONTINUE', 'FIRE', 'PURGE' or 'FIRE_AND_PURGE'`,
    ).withKey(userKey(entry.key))
  }

  private fireParked(entry: KeyEntry, parked: ParkedFirings): void {
    for (const { id, purge } of parked.list) {
      const window = this.window(entry, id)!
      this.emit(entry, id, window)
      if (purge) this.purge(entry, window)
      this.save(entry, id, window)
    }
  }

  private emit(entry: KeyEntry, id: number, window: WindowState): void {
    const timestamp = window.last ?? window.end - 1
    if (!this.buffered) {
      if (window.acc !== undefined) emitResult(this, this.options, this.fold!, entry, window, window.acc, timestamp)
      return
    }
    const buffered = elementBuffer.read(this.state, entry, window)
    const kept = this.evictor === undefined ? buffered : this.evict(entry, id, window, buffered, timestamp)
    // The window may fire again.
    const elements = kept.map(copyValue)
    if (elements.length === 0) return
    if (this.fold === undefined) {
      emitProcessed(this, this.options, entry, window, elements, timestamp)
      return
    }
    let acc: any
    for (const element of elements) acc = this.fold.add(acc, element)
    emitResult(this, this.options, this.fold, entry, window, acc, timestamp)
  }

  /** The values that the window function gets. */
  private evict(entry: KeyEntry, id: number, window: WindowState, elements: any[], timestamp: number): any[] {
    const { before, after } = this.evictor!
    try {
      const kept = before === undefined ? elements : listed(before(elements, window))
      const left = after === undefined ? kept : listed(after(kept, window))
      if (left.length !== elements.length) elementBuffer.keep(this.state, entry, id, window, elements, left)
      return kept.map(e => e.value)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'the evictor', error)
    }
  }

  // ---- window state ---------------------------------------------------------------------------------------------------

  private window(entry: KeyEntry, id: number): WindowState | undefined {
    return this.state.mapGet(entry, WINDOWS, id, 0)
  }

  private save(entry: KeyEntry, id: number, window: WindowState): void {
    this.state.mapSet(entry, WINDOWS, id, window, 0)
  }

  private purge(entry: KeyEntry, window: WindowState): void {
    if (this.buffered) elementBuffer.clear(this.state, entry, window)
    window.acc = undefined
    window.last = undefined
  }

  private closeWindow(entry: KeyEntry, id: number, window: WindowState): void {
    this.purge(entry, window)
    this.trigger.clear(window, this.context.bind(entry, id, window))
    this.state.mapDelete(entry, WINDOWS, id)
  }

  /** False: asks for the window's records that are not in memory. */
  private inMemory(entry: KeyEntry, window: WindowState): boolean {
    if (!this.buffered) return true
    const missing = elementBuffer.missing(this.state, entry, window)
    if (missing.length > 0) this.miss(entry, ELEMENTS, missing)
    return missing.length === 0
  }

  private cleanupTime(window: WindowState): number {
    return window.end - 1 + this.lateness
  }

  private deleteCleanup(entry: KeyEntry, id: number, window: WindowState): void {
    const timers = this.eventTime ? this.eventTimers : this.processingTimers
    timers.delete(this.cleanupTime(window), entry.key, id)
  }

  private isOver(end: number): boolean {
    return this.eventTime && end - 1 + this.lateness <= this.currentWatermark
  }

  private gapOf(element: any, timestamp: number): number {
    return sessionGap(this.ctx, this.options.assigner as SessionAssigner<any>, this.original(element), timestamp)
  }
}

function listed<T>(stays: T): T {
  if (Array.isArray(stays)) return stays
  throw new TypeError(`it gave ${stays === null ? 'null' : typeof stays}; it has to give the list of what stays`)
}
