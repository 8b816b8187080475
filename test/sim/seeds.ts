import type { Change } from './changes.ts'
import type { Report } from './report.ts'
import { changesOf, kindOf, kinds } from './small.ts'
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

/** For one seed that somebody looks at. */
export function workerFor(seed: number, pipeline: string | undefined): Worker {
  return openWorker({ changes: changesOf(seed), pipeline }, { stacks: true })
}

/** Runs seeds in processes of their own, each for seeds of one kind. */
export async function runSeeds({ from, count, until, pipeline, workers, changes = [], onReport }: SeedRange): Promise<void> {
  const end = from + count
  let jobs = 0
  let enough = false
  const idle: Worker[][] = Array.from({ length: kinds }, () => [])
  const all: Worker[] = []

  /** The next job, all of whose seeds are of one kind: as many jobs as there are kinds share a range. Undefined: there are no more seeds. */
  function job(): number[] | undefined {
    const range = from + Math.floor(jobs / kinds) * kinds * JOB_SEEDS
    if (range >= end) return undefined
    const seeds: number[] = []
    for (let seed = range + (jobs % kinds); seed < Math.min(end, range + kinds * JOB_SEEDS); seed += kinds) seeds.push(seed)
    jobs++
    return seeds
  }

  async function work(): Promise<void> {
    while (!enough && (until === undefined || Date.now() < until)) {
      const seeds = job()
      if (seeds === undefined) return
      if (seeds.length === 0) continue
      const waiting = idle[kindOf(seeds[0]!)]!
      let worker = waiting.pop()
      if (worker === undefined) {
        worker = openWorker({ changes: [...changes, ...changesOf(seeds[0]!)], pipeline })
        all.push(worker)
      }
      await worker.run({ seeds }, report => {
        if (enough) return
        enough = onReport(report)
        // Whatever the others are about, one that hangs among them.
        if (enough) for (const other of all) other.stop()
      })
      waiting.push(worker)
    }
  }

  try {
    await Promise.all(Array.from({ length: workers }, work))
  } finally {
    for (const worker of all) worker.stop()
  }
}
