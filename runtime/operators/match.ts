import { isIdle, type Matching, newMatching, onEvent, onTime, type Pattern } from '../cep/matching.ts'
import type { Events } from '../cep/steps.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { OutputTag } from './output-tag.ts'
import { userError } from './user-code.ts'

const WAITING = 0
const MATCHING = 1

/** By timestamp: the records that the watermark has not passed; and what is under way. */
export const MATCH_STATES: readonly StateDeclaration[] = [
  { name: 'waiting', primitive: 'map', load: 'all' },
  { name: 'matching', primitive: 'value' },
]

export interface MatchOptions<T> {
  readonly pattern: Pattern<T>
  /** Of records with the same timestamp; otherwise they come as they arrived. */
  readonly compare?: (a: T, b: T) => number
  /** Partial matches that took too long. */
  readonly timedOutTag?: OutputTag<any>
  /** Records at or below the watermark; they are dropped otherwise. */
  readonly lateTag?: OutputTag<T>
}

/**
 * Looks for a pattern in the records of each key, in order of time: a record takes its turn when the watermark has reached it. Matches are emitted with
 * the time of their last event, or, where something must not have come, with the end of the time that it had.
 */
export class MatchOperator<T> extends KeyedOperator {
  private readonly options: MatchOptions<T>

  constructor(options: MatchOptions<T>) {
    super()
    this.options = options
  }

  protected onRecord(entry: KeyEntry, value: T, timestamp: number): void {
    if (timestamp <= this.currentWatermark) {
      this.dropLate(this.options.lateTag, value, timestamp, entry.key)
      return
    }
    const waiting: T[] = this.state.mapGet(entry, WAITING, timestamp, 0) ?? []
    waiting.push(value)
    this.state.mapSet(entry, WAITING, timestamp, waiting, 0)
    this.eventTimers.set(timestamp, entry.key)
  }

  protected override onTimer(entry: KeyEntry, at: number): void {
    const matching: Matching<T> = this.state.value(entry, MATCHING, 0) ?? newMatching()
    const waiting: T[] | undefined = this.state.mapGet(entry, WAITING, at, 0)
    if (waiting === undefined && isIdle(matching)) return
    try {
      this.run(entry, matching, waiting ?? [], at)
    } catch (error) {
      throw userError(this.ctx, at, 'a condition of match', error)
    }
    if (waiting !== undefined) this.state.mapDelete(entry, WAITING, at)
    this.state.setValue(entry, MATCHING, isIdle(matching) ? undefined : matching, 0)
  }

  private run(entry: KeyEntry, matching: Matching<T>, waiting: T[], at: number): void {
    const { pattern, compare, timedOutTag } = this.options
    const old = onTime(pattern, matching, at)
    if (timedOutTag !== undefined)
      for (const partial of old.timedOut) this.ctx.side(timedOutTag.id).record(partial, at, entry.key)
    this.emit(entry, old.matches, at)
    if (compare !== undefined && waiting.length > 1) waiting.sort(compare)
    for (const event of waiting) this.emit(entry, onEvent(pattern, matching, event, at).matches, at)
    if (pattern.withinMs !== undefined && matching.runs.some(run => run.startTime === at)) {
      this.eventTimers.set(at + pattern.withinMs, entry.key)
    }
  }

  private emit(entry: KeyEntry, matches: readonly Events<T>[], at: number): void {
    for (const match of matches) this.ctx.output.record(match, at, entry.key)
  }
}
