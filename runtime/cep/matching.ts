import { advance, isPending, type Run, start } from './run.ts'
import { type SkipStrategy, skipsBefore } from './skip.ts'
import type { Events, Steps } from './steps.ts'

/** What is kept of a key between two events: plain data. */
export interface Matching<T> {
  /** Partial matches, by their first event. */
  runs: Run[]
  /** Whole matches that wait for partial ones which started before them, as those may make them void. */
  complete: Run[]
  /** By number: the events of all of them. */
  events: Map<number, T>
  /** Number of the next event. */
  next: number
}

export interface Pattern<T> extends Steps<T> {
  readonly skip: SkipStrategy
}

/** What came of an event, or of time going on. */
export interface Found<T> {
  readonly matches: Events<T>[]
  readonly timedOut: Events<T>[]
}

export function newMatching<T>(): Matching<T> {
  return { runs: [], complete: [], events: new Map(), next: 0 }
}

/** Whether nothing is under way. */
export function isIdle(matching: Matching<unknown>): boolean {
  return matching.runs.length === 0 && matching.complete.length === 0
}

/** Offers an event to all partial matches, and to start one. Events come in order of time. */
export function onEvent<T>(pattern: Pattern<T>, matching: Matching<T>, event: T, time: number): Found<T> {
  const arrival = { event, time, number: matching.next }
  const runs: Run[] = []
  const matches: Run[] = []
  for (const run of matching.runs) {
    const outcome = advance(pattern, run, arrival, eventsOf(pattern, matching, run))
    runs.push(...outcome.runs)
    matches.push(...outcome.matches)
  }
  const started = start(pattern, arrival)
  runs.push(...started.runs)
  matches.push(...started.matches)
  matching.events.set(matching.next++, event)
  matching.runs = runs
  const found = settle(pattern, matching, matches)
  forget(matching)
  return { matches: found, timedOut: [] }
}

/** Time has come to `time`: partial matches that are too old end; those that only waited for what did not come are matches. */
export function onTime<T>(pattern: Pattern<T>, matching: Matching<T>, time: number): Found<T> {
  const { withinMs } = pattern
  if (withinMs === undefined) return { matches: [], timedOut: [] }
  const old = matching.runs.filter(run => time - run.startTime >= withinMs)
  if (old.length === 0) return { matches: [], timedOut: [] }
  matching.runs = matching.runs.filter(run => time - run.startTime < withinMs)
  const timedOut = old.filter(run => !isPending(pattern, run)).map(run => eventsOf(pattern, matching, run))
  const matches = settle(
    pattern,
    matching,
    old.filter(run => isPending(pattern, run)),
  )
  forget(matching)
  return { matches, timedOut }
}

/** Those of the whole matches that count now, the one that started first before the others; what they make void goes. */
function settle<T>(pattern: Pattern<T>, matching: Matching<T>, matches: readonly Run[]): Events<T>[] {
  const { skip } = pattern
  if (skip.kind === 'none') return matches.map(run => eventsOf(pattern, matching, run))
  const names = pattern.steps.map(step => step.name)
  const found: Events<T>[] = []
  matching.complete = [...matching.complete, ...matches].sort((a, b) => a.start - b.start)
  for (;;) {
    const [first] = matching.complete
    if (first === undefined || matching.runs.some(run => run.start < first.start)) return found
    found.push(eventsOf(pattern, matching, first))
    const before = skipsBefore(skip, first, names)
    matching.complete = matching.complete.slice(1).filter(run => run.start >= before)
    matching.runs = matching.runs.filter(run => run.start >= before)
  }
}

function eventsOf<T>(pattern: Steps<T>, matching: Matching<T>, run: Run): Events<T> {
  const events: Record<string, T[]> = {}
  for (const [i, step] of pattern.steps.entries()) events[step.name] = run.events[i]!.map(number => matching.events.get(number)!)
  return events
}

/** Events that no match has any more. */
function forget(matching: Matching<unknown>): void {
  const used = new Set([...matching.runs, ...matching.complete].flatMap(run => run.events.flat()))
  for (const number of matching.events.keys()) if (!used.has(number)) matching.events.delete(number)
}
