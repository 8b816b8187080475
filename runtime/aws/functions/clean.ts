import { cleanFormerRuns } from '../../checkpoint/cleaning.ts'
import type { Clearing } from '../../ports.ts'
import type { Environment } from './environment.ts'

const DAY_MS = 24 * 3_600_000
/** How long what a former run has left stays, ms: what the stack says of it. */
export const KEEP_FORMER = 'MILLRACE_KEEP_FORMER_MS'
/** Of one invocation of the controller, which is each minute: checkpoints wait for it, and live subtasks share the tables' throughput with it. */
const BUDGET = { deletesMax: 2_000, workMs: 2_000, page: 2_000 }

/** Cleans a little of what former runs have left. Asked all the time, it looks when there may be something. */
export type Clean = () => Promise<void>

/**
 * `keepMs`: what a run has left stays for so long after another has taken its place. Default: as the stack says, or a day, by which no invocation and no copy of a checkpoint that began before goes on. What fails is told
 * on the function's log and done again the next time: no checkpoint fails by it.
 */
export function openCleaner(environment: Environment, clearing: Clearing, keepMs = keptMs(), budget = BUDGET): Clean {
  /** Until then there is nothing to do for this run. */
  let idle: { readonly run: string; readonly until: number } | undefined
  return async () => {
    const { ports } = environment
    try {
      const run = (await environment.existingRun())?.meta.run
      if (run === undefined || (idle?.run === run && ports.clock.now() < idle.until)) return
      idle = { run, until: await cleanFormerRuns(ports, clearing, { keepMs, ...budget }) }
    } catch (error) {
      environment.log('error', `what former runs have left could not be cleaned: ${(error as Error).message}`)
    }
  }
}

function keptMs(): number {
  return Number(process.env[KEEP_FORMER] ?? DAY_MS)
}
