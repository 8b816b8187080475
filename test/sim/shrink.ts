import type { Report } from './report.ts'
import type { Worker } from './workers.ts'

const TRIES_MAX = 150

/**
 * The fewest faults that were found with which the seed still fails. What follows a fault that is left out may go otherwise, and with it all numbers: so each try is a run of its own,
 * that fails or does not.
 */
export async function shrink(worker: Worker, { seed, injected }: Report): Promise<Report> {
  let tries = 0
  let best: Report | undefined
  let kept = injected.map(({ number }) => number)

  async function fails(only: readonly number[]): Promise<boolean> {
    if (tries++ >= TRIES_MAX) return false
    let failed: Report | undefined
    await worker.run({ seeds: [seed], only }, report => {
      if (report.error !== undefined) failed = report
    })
    if (failed === undefined) return false
    best = failed
    // Faults of numbers that did not come up played no part.
    const happened = new Set(failed.injected.map(({ number }) => number))
    kept = only.filter(number => happened.has(number))
    return true
  }

  // Half of them at a time, then quarters …
  for (let size = kept.length; size >= 1 && tries < TRIES_MAX; ) {
    let removed = false
    for (let from = 0; from < kept.length; ) {
      const without = [...kept.slice(0, from), ...kept.slice(from + size)]
      if (without.length < kept.length && (await fails(without))) removed = true
      else from += size
    }
    if (!removed || size > kept.length) size = Math.min(size >> 1, kept.length)
  }
  let last = best
  await worker.run({ seeds: [seed], only: kept, trace: true }, report => {
    last = report
  })
  return last!
}
