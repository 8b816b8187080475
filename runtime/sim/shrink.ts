import type { Injected } from './faults.ts'

const TRIES_MAX = 150

/** A run of a seed that failed. */
export interface FailedRun {
  readonly injected: readonly Injected[]
}

/**
 * The fewest faults that were found with which a seed still fails, as the run that has only them. What follows a fault that is left out may go otherwise, and with it all numbers: so each
 * try is a run of its own, that fails or does not. `run`: the seed with the faults of these numbers only; undefined: nothing was found.
 */
export async function shrink<R extends FailedRun>(
  failed: R,
  run: (only: readonly number[]) => Promise<R | undefined>,
  triesMax = TRIES_MAX,
): Promise<R> {
  let tries = 0
  let best = failed
  let kept = failed.injected.map(({ number }) => number)

  async function fails(only: readonly number[]): Promise<boolean> {
    if (tries++ >= triesMax) return false
    const again = await run(only)
    if (again === undefined) return false
    best = again
    // Faults of numbers that did not come up played no part.
    const happened = new Set(again.injected.map(({ number }) => number))
    kept = only.filter(number => happened.has(number))
    return true
  }

  // Half of them at a time, then quarters …
  for (let size = kept.length; size >= 1 && tries < triesMax; ) {
    let removed = false
    for (let from = 0; from < kept.length; ) {
      const without = [...kept.slice(0, from), ...kept.slice(from + size)]
      if (without.length < kept.length && (await fails(without))) removed = true
      else from += size
    }
    if (!removed || size > kept.length) size = Math.min(size >> 1, kept.length)
  }
  return best
}
