import type { Duration } from '../api/duration.ts'
import type { SinkHandle } from '../api/sink.ts'
import type { DeadLetter, SourceStream } from '../api/source.ts'
import type { RunTotals } from '../embedded/run-options.ts'
import type { Key } from '../graph/key.ts'
import type { OutputTag } from '../operators/output-tag.ts'
import type { TestRecord } from './collector.ts'
import type { TestFault } from './faults.ts'
import type { KeyTimers } from './look.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * A pipeline that a test holds in its hands. Each call resolves when nothing moves any more: what it led to is committed. When a function of the
 * pipeline throws, the call rejects with that error, and the batch is tried again with the next call.
 *
 * Sources and sinks go by name, or by what `app.source(…)` and `.sink(…)` gave, which knows the type.
 */
export interface TestPipeline extends AsyncDisposable {
  /**
   * Sends records to a source, which decodes and validates them. Strings and bytes are taken as lines, as they are; everything else becomes JSON.
   *
   * @example
   * await t.send('events', [{ user_id: 'u1', timestamp: 1_000 }, 'not JSON'])
   */
  send(source: string, records: readonly unknown[], options?: SendOptions): Promise<void>
  send<T>(source: SourceStream<T>, records: readonly (NoInfer<T> | string | Uint8Array)[], options?: SendOptions): Promise<void>
  /** Moves the watermark of a source, or of all, to `time`, epoch ms; never back. It goes through `split`, or through all splits. */
  watermark(time: number, options?: { readonly source?: string | SourceStream<any>; readonly split?: number }): Promise<void>
  /** Ends the input of a source, or of all: windows and timers fire. Nothing can be sent after it. */
  end(source?: string | SourceStream<any>): Promise<void>
  /**
   * Lets time pass by the clock: timers of processing time fire one after the other, silent splits become idle. While another call is under way, it only moves the clock, so that a call of
   * yours runs out of time, or is tried again.
   */
  advance(by: Duration): Promise<void>
  /** The clock, epoch ms. */
  readonly now: number

  /** What a sink has been given, in the order in which it was written: only what is committed. */
  results<T>(sink: SinkHandle<T>): Promise<T[]>
  results<T = any>(sink: string): Promise<T[]>
  /** The same with each record's event time and key. */
  records<T>(sink: SinkHandle<T>): Promise<TestRecord<T>[]>
  records<T = any>(sink: string): Promise<TestRecord<T>[]>
  /** What went to a side output anywhere in the pipeline: late records, failed calls, your own; also where nobody reads it. */
  sideOutput<T>(tag: OutputTag<T>): Promise<T[]>
  /** Records of all sources that could not be decoded, or that the schema refused; also where nobody reads them. */
  deadLetters(): Promise<DeadLetter[]>
  /** Records that the sources took, that became dead letters, that were dropped as late (no `lateTo`), and that sinks were given. */
  counts(): Promise<RunTotals>

  /**
   * What an operator keeps for a key, as of the last commit, by the name of the state: a value as it is, a list as an array, a map as a Map. What has no value is not in it.
   * Without a key: its broadcast state. `operator` is its uid, its name, or the id that `millrace plan` shows.
   *
   * @example
   * await t.state('spent', 'u1') // { total: 12, items: Map { 'i1' => 2 } }
   */
  state<S extends object = Record<string, any>>(operator: string, key?: Key): Promise<S>
  /** The timers that an operator has set for a key; windows have theirs too. */
  timers(operator: string, key: Key): Promise<KeyTimers>
  /** The lowest watermark of all subtasks, epoch ms. */
  currentWatermark(): Promise<number>

  /** Takes a checkpoint, as a value: other test pipelines can begin with it. This one goes on. */
  snapshot(): Promise<Snapshot>
  /** All environments die; new ones go on from the last commits. */
  restart(): Promise<void>
  /** What goes wrong from now on, in the place of what did so far; nothing: all is well again. */
  faults(...faults: readonly TestFault[]): void
  /** Closes sinks and state. */
  close(): Promise<void>
}

/** Where in a source records come. */
export interface SendOptions {
  /** Which split the records come in, from 0. Default 0. */
  readonly split?: number
}
