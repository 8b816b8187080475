import type { Condition, Contiguity, Events, Not, Step, Steps } from './steps.ts'

/** A partial match: the events taken so far. Plain data, as it is kept in state. */
export interface Run {
  /** Of the last event taken: the step, and its number in it, from 1. */
  readonly step: number
  readonly count: number
  /**
   * What it waits for since it has passed over an event: one more of its step, a certain later step, or, where something may not come at the
   * end, the end of time. Undefined: the event before was taken, everything is open.
   */
  readonly wait?: 'more' | 'end' | number
  /** Numbers of the events, by step. */
  readonly events: readonly (readonly number[])[]
  /** Epoch ms, and number, of the first event. */
  readonly startTime: number
  readonly start: number
}

/** An event on its way through the runs of its key. */
export interface Arrival<T> {
  readonly event: T
  readonly time: number
  /** Larger than those of all events before it. */
  readonly number: number
}

/** What becomes of a run, or of no run yet, with an event. */
export interface Outcome {
  readonly runs: Run[]
  readonly matches: Run[]
}

/** The partial matches that start with an event. */
export function start<T>(pattern: Steps<T>, arrival: Arrival<T>): Outcome {
  const move = new Move(pattern, undefined, arrival, {})
  move.proceed(0)
  return move.outcome()
}

/**
 * Where a run gets with one more event: each way to take it or to pass over it is a run of its own, so runs multiply where a pattern leaves a
 * choice. None is left where the event may not come or can't be passed over.
 */
export function advance<T>(pattern: Steps<T>, run: Run, arrival: Arrival<T>, events: Events<T>): Outcome {
  const move = new Move(pattern, run, arrival, events)
  if (typeof run.wait === 'number') move.proceed(run.wait)
  else if (run.wait === 'end') move.end()
  else {
    move.repeat()
    if (run.wait === undefined && run.count >= pattern.steps[run.step]!.min) move.proceed(run.step + 1)
  }
  return move.outcome()
}

/** Whether the run is a match if nothing more comes: all that is open is what may not come. */
export function isPending<T>(pattern: Steps<T>, run: Run): boolean {
  if (pattern.trailing.length === 0 || pattern.trailing.some(not => not.directly)) return false
  if (run.wait !== undefined) return run.wait === 'end'
  const { steps } = pattern
  return run.step === steps.length - 1 && run.count === steps[run.step]!.max
}

/** One event offered to one run. */
class Move<T> {
  private readonly runs: Run[] = []
  private readonly matches: Run[] = []
  private dead = false
  private readonly pattern: Steps<T>
  private readonly run: Run | undefined
  private readonly arrival: Arrival<T>
  private readonly events: Events<T>

  constructor(pattern: Steps<T>, run: Run | undefined, arrival: Arrival<T>, events: Events<T>) {
    this.pattern = pattern
    this.run = run
    this.arrival = arrival
    this.events = events
  }

  outcome(): Outcome {
    return { runs: this.dead ? [] : this.runs, matches: this.matches }
  }

  /** One more event of the run's own step. */
  repeat(): void {
    const run = this.run!
    const step = this.pattern.steps[run.step]!
    // as in Flink: of a bounded number, those beyond the least are waited for whatever else comes
    const free = run.wait === 'more' && run.count >= step.min && step.max !== Number.POSITIVE_INFINITY
    if (!free) this.checkNots(this.notsBefore(run.step + 1))
    if (run.count >= step.max) return
    if (step.until !== undefined && this.fits(step.until)) return
    const fits = this.fits(step.condition)
    if (fits) this.take(run.step, run.count + 1)
    if (passes(step.inner, fits)) this.pass('more')
  }

  /** The first event of a later step: of the one at `index`, or, as long as those may be left out, of one behind it. */
  proceed(index: number): void {
    const { steps } = this.pattern
    const from = this.run === undefined ? 0 : this.run.step + 1
    const waiting = this.run?.wait !== undefined
    for (let i = from; i < index; i++) this.checkNots(this.notsBefore(i))
    for (let i = index; i < steps.length; i++) {
      const step = steps[i]!
      const seen = waiting && step.nots.some(not => not.directly) // then the greedy step is over
      if (!seen && this.belongsTo(steps[i - 1])) return
      if (!waiting && this.run !== undefined && this.directNot(step.nots)) return
      this.checkNots(step.nots)
      const fits = this.fits(step.condition)
      if (fits && !(step.until !== undefined && this.fits(step.until))) this.take(i, 1)
      if (this.run !== undefined && passes(step.contiguity, fits)) this.pass(i)
      if (!step.optional || waiting) return
    }
    if (this.run !== undefined) this.end()
  }

  /** Behind the last step: only what may not come is left. */
  end(): void {
    const { steps, trailing } = this.pattern
    if (trailing.length === 0 || this.belongsTo(steps.at(-1))) return
    if (this.run!.wait === undefined && this.directNot(trailing)) return
    this.checkNots(trailing)
    if (trailing.some(not => !not.directly)) this.pass('end')
    else this.matches.push(this.run!)
  }

  private take(index: number, count: number): void {
    const { time, number } = this.arrival
    const before = this.run?.events ?? this.pattern.steps.map(() => [])
    const events = before.map((numbers, i) => (i === index ? [...numbers, number] : numbers))
    const run: Run = { step: index, count, events, startTime: this.run?.startTime ?? time, start: this.run?.start ?? number }
    const { steps, trailing } = this.pattern
    const step = steps[index]!
    const left = steps.slice(index + 1)
    const complete = count >= step.min && !(step.greedy && left.length > 0) && left.every(later => this.canBeLeftOut(later))
    if (complete && trailing.length === 0) this.matches.push(run)
    if (count < step.max || index < steps.length - 1 || trailing.length > 0) this.runs.push(run)
  }

  /** At the end of a pattern. What may not come directly before it is looked for in the event just taken, as Flink does. */
  private canBeLeftOut(step: Step<T>): boolean {
    return step.optional && !step.nots.some(not => not.directly && this.fits(not.condition))
  }

  private pass(wait: NonNullable<Run['wait']>): void {
    this.runs.push({ ...this.run!, wait })
  }

  /** What may not come at all ends the run, whatever else the event could be for it; a match that it makes whole stays. */
  private checkNots(nots: readonly Not<T>[]): void {
    for (const not of nots) if (!not.directly && this.fits(not.condition)) this.dead = true
  }

  /** What may not come directly ends the run, too, and is for nothing behind it. */
  private directNot(nots: readonly Not<T>[]): boolean {
    if (!nots.some(not => not.directly && this.fits(not.condition))) return false
    this.dead = true
    return true
  }

  private notsBefore(index: number): readonly Not<T>[] {
    return this.pattern.steps[index]?.nots ?? this.pattern.trailing
  }

  /** What fits a greedy step is for no step behind it, and can't be passed over there either. */
  private belongsTo(before: Step<T> | undefined): boolean {
    if (!before?.greedy) return false
    return this.fits(before.condition) && !(before.until !== undefined && this.fits(before.until))
  }

  private fits(condition: Condition<T> | undefined): boolean {
    return condition === undefined || condition(this.arrival.event, this.events)
  }
}

/** Whether an event may be passed over. */
function passes(contiguity: Contiguity, fits: boolean): boolean {
  return contiguity === 'any' || (contiguity === 'relaxed' && !fits)
}
