import type { Decision } from '../../checkpoint/decision.ts'
import { lastStop } from '../../checkpoint/stops.ts'
import { isDue } from './due.ts'
import type { Environment, OpenRun } from './environment.ts'
import { goingSince } from './silence.ts'
import { loadHeads, somethingNew } from './something-new.ts'

/**
 * Whether a checkpoint is to be taken. `scheduled`: nobody asked for it. Then not of a pipeline that was stopped, where nobody would ack; and, of one that goes on, also when something is due.
 */
export async function isWanted(
  environment: Environment,
  run: OpenRun,
  last: { readonly checkpoint: number; readonly decision: Decision } | undefined,
  scheduled: boolean,
): Promise<boolean> {
  const { log } = environment.ports
  const stop = await lastStop(log, run.meta.run)
  if (scheduled && stop?.stopped) return false
  const heads = await loadHeads(run.topology, log, environment.seen)
  if (await somethingNew(heads, last, log, environment.seen)) return true
  return scheduled && isDue(environment, run, heads, goingSince(run.meta, stop))
}
