import type { Change } from './changes.ts'
import type { Report } from './report.ts'
import { isSmall, SMALL } from './small.ts'
import type { Worker } from './workers.ts'
import { openWorker } from './workers.ts'

export interface SeedRange {
  readonly from: number
  readonly count: number
  /** Epoch ms: none is begun after it. */
  readonly until?: number
  readonly pipeline: string | undefined
  readonly workers: number
  readonly changes?: readonly Change[]
  /** True: that was enough. */
  readonly onReport: (report: Report) => boolean
}

/** Seeds of one job: few, so that nobody waits long for another. */
const JOB_SEEDS = 10

export function workerFor(seed: number, pipeline: string | undefined, changes: readonly Change[] = []): Worker {
  return openWorker({ changes: [...changes, ...(isSmall(seed) ? SMALL : [])], pipeline })
}

/** Runs seeds in processes of their own, some of which have small limits. */
export async function runSeeds({ from, count, until, pipeline, workers, changes, onReport }: SeedRange): Promise<void> {
  let jobs = 0
  let enough = false
  const idle = new Map<boolean, Worker[]>([
    [true, []],
    [false, []],
  ])
  const all: Worker[] = []

  /** The next job, all of whose seeds are of one kind: two jobs share a range, of which one takes the even, the other the odd seeds. */
  function job(): number[] {
    const first = from + Math.floor(jobs / 2) * 2 * JOB_SEEDS + (jobs % 2)
    jobs++
    const end = Math.min(from + count, first + 2 * JOB_SEEDS - 1)
    return Array.from({ length: Math.max(0, Math.ceil((end - first) / 2)) }, (_, i) => first + 2 * i)
  }

  async function work(): Promise<void> {
    while (!enough && jobs < 2 * Math.ceil(count / (2 * JOB_SEEDS)) && (until === undefined || Date.now() < until)) {
      const seeds = job()
      if (seeds.length === 0) continue
      const small = isSmall(seeds[0]!)
      let worker = idle.get(small)!.pop()
      if (worker === undefined) {
        worker = workerFor(seeds[0]!, pipeline, changes)
        all.push(worker)
      }
      await worker.run({ seeds }, report => {
        if (!enough) enough = onReport(report)
      })
      idle.get(small)!.push(worker)
    }
  }

  try {
    await Promise.all(Array.from({ length: workers }, work))
  } finally {
    for (const worker of all) worker.stop()
  }
}
