import type { Mutant } from './mutant.ts'
import { mutants } from './mutants.ts'
import type { Report } from './report.ts'
import { runSeeds } from './seeds.ts'

export interface Found {
  readonly mutant: Mutant
  /** Undefined: it survived. */
  readonly report: Report | undefined
  /** Seeds that were run. */
  readonly seeds: number
}

/** Plants each fault by itself, and runs up to `seedsMax` seeds until one fails. */
export async function findMutants(
  names: string | undefined,
  pipeline: string | undefined,
  seedsMax: number,
  workers: number,
  onFound: (found: Found) => void,
): Promise<void> {
  const chosen = mutants.filter(({ name }) => names === undefined || name.includes(names))
  if (chosen.length === 0) throw new Error(`no mutant has '${names}' in its name`)
  for (const mutant of chosen) {
    let failed: Report | undefined
    let seeds = 0
    await runSeeds({
      from: 0,
      count: seedsMax,
      pipeline: pipeline ?? mutant.pipeline,
      workers,
      changes: mutant.changes,
      onReport(report) {
        seeds++
        if (report.error !== undefined) failed ??= report
        return failed !== undefined
      },
    })
    onFound({ mutant, report: failed, seeds })
  }
}
