import { shrink as shrinkRun } from '../../runtime/sim/shrink.ts'
import type { Report } from './report.ts'
import type { Worker } from './workers.ts'

/** The fewest faults that were found with which the seed still fails, in a worker, with the trace of that run. */
export async function shrink(worker: Worker, failed: Report): Promise<Report> {
  const { seed } = failed
  async function run(only: readonly number[], trace = false): Promise<Report | undefined> {
    let report: Report | undefined
    await worker.run({ seeds: [seed], only, trace }, found => {
      if (found.error !== undefined) report = found
    })
    return report
  }
  const least = await shrinkRun(failed, run)
  return (await run(
    least.injected.map(({ number }) => number),
    true,
  ))!
}
