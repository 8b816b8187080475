import type { Run } from '../sim/simulate.ts'

/** What was simulated. */
export interface ExactlyOnceReport {
  /** Seeds, each of which is a run with faults and a second one from one of its checkpoints. */
  readonly runs: number
  /** That came out, in each of them. */
  readonly rows: number
  /** Records that were refused, or that a function failed on each time, in each of them. */
  readonly deadLetters: number
  /** Of simulated time. */
  readonly hours: number
  /** How often what went wrong. */
  readonly faults: Readonly<Record<string, number>>
  /** How many checkpoints ended how. */
  readonly checkpoints: Readonly<Record<string, number>>
  /** All of this for people, in one line. */
  readonly text: string
}

export function openReport({ rows, deadLetters }: { readonly rows: number; readonly deadLetters: number }) {
  const faults: Record<string, number> = {}
  const checkpoints: Record<string, number> = {}
  let runs = 0
  let virtualMs = 0
  return {
    add(run: Run) {
      runs++
      virtualMs += run.virtualMs
      for (const { fault } of run.injected) faults[fault] = (faults[fault] ?? 0) + 1
      for (const [outcome, n] of run.outcomes) checkpoints[outcome] = (checkpoints[outcome] ?? 0) + n
    },
    value(): ExactlyOnceReport {
      const hours = virtualMs / 3_600_000
      const all = Object.values(faults).reduce((a, b) => a + b, 0)
      const letters = deadLetters === 0 ? '' : ` and ${deadLetters} dead ${deadLetters === 1 ? 'letter' : 'letters'}`
      const text = `${runs} ${runs === 1 ? 'run' : 'runs'}, ${hours.toFixed(1)} simulated hours, ${all} faults of ${Object.keys(faults).length} kinds, ${checkpoints.complete ?? 0} complete checkpoints: the same ${rows} rows${letters} each time`
      return { runs, rows, deadLetters, hours, faults, checkpoints, text }
    },
  }
}
