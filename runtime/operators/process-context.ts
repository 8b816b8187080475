import type { Key } from '../graph/key.ts'
import type { HandlesOf, StateSpecs } from '../state/spec.ts'
import type { OutputTag } from './output-tag.ts'

/** Timers of the current key. Setting one that is set already changes nothing; neither does deleting one that is not. */
export interface TimerService {
  /** `at`: epoch ms. A time that has passed fires at the next watermark (event) or the next time the runtime looks (processing). */
  set(at: number): void
  /** `at`: as it was set. */
  delete(at: number): void
}

/** What a process function sees beside the value. The same object for every record: do not keep it. */
export interface ProcessContext<O, S extends StateSpecs, K extends Key = Key> {
  /** The current key, as the keyBy function gave it. */
  readonly key: K
  /** Of the record, or the time of the timer, epoch ms. */
  readonly timestamp: number
  /** No record at or below it is expected any more; -Infinity before the first. */
  readonly currentWatermark: number
  /** Epoch ms. */
  processingTime(): number
  /** The declared states, for the current key. */
  readonly state: HandlesOf<S>
  readonly timers: { readonly event: TimerService; readonly processing: TimerService }
  /** `timestamp`: default that of the record, or the timer's time. */
  emit(value: O, timestamp?: number): void
  /** To a side output. */
  output<X>(tag: OutputTag<X>, value: X, timestamp?: number): void
}

/** Which clock a timer was set by. */
export type TimeDomain = 'event' | 'processing'
