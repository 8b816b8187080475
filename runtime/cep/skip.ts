import type { Run } from './run.ts'

/** Which matches, partial or whole, a match makes void. */
export interface SkipStrategy {
  readonly kind: 'none' | 'next' | 'pastLast' | 'toFirst' | 'toLast'
  /** Of the step to skip to. */
  readonly name?: string
}

/** Every match counts (the default). */
export function noSkip(): SkipStrategy {
  return { kind: 'none' }
}

/** A match makes those void that start with its first event. */
export function skipToNext(): SkipStrategy {
  return { kind: 'next' }
}

/** A match makes those void that start before it has ended: none overlap. */
export function skipPastLastEvent(): SkipStrategy {
  return { kind: 'pastLast' }
}

/** A match makes those void that start before the first event of its step `name`. */
export function skipToFirst(name: string): SkipStrategy {
  return { kind: 'toFirst', name }
}

/** A match makes those void that start before the last event of its step `name`. */
export function skipToLast(name: string): SkipStrategy {
  return { kind: 'toLast', name }
}

/** The number of an event: what starts before it is void. -Infinity where the match has no event of the step. */
export function skipsBefore(strategy: SkipStrategy, match: Run, names: readonly string[]): number {
  if (strategy.kind === 'next') return match.start + 1
  if (strategy.kind === 'pastLast') return Math.max(...match.events.flat()) + 1
  const events = match.events[names.indexOf(strategy.name!)] ?? []
  return (strategy.kind === 'toFirst' ? events[0] : events.at(-1)) ?? Number.NEGATIVE_INFINITY
}
