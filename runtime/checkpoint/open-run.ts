import { shapeDifference } from '../graph/shape-difference.ts'
import type { Ports } from '../ports.ts'
import { pack } from '../state/codec.ts'
import {
  checkBackend,
  checkPipeline,
  checkSplits,
  META,
  type RunKind,
  type RunMeta,
  readRun,
  refuseInterrupted,
  StateMismatchError,
} from './run-meta.ts'

/** The run of this directory: made now, or the one to go on with, if it fits. */
export async function openRun(ports: Ports, wanted: RunKind, snapshots: boolean): Promise<{ meta: RunMeta; resumed: boolean }> {
  await refuseInterrupted(ports, 'this state directory')
  const fresh: RunMeta = { ...wanted, run: ports.random.id(), createdAt: ports.clock.now(), snapshots }
  if (await ports.log.putIfAbsent(META, 1, pack(fresh))) return { meta: fresh, resumed: false }
  const meta = (await readRun(ports))!
  checkBackend(meta, wanted, 'the state directory')
  checkKind(meta, wanted, 'the state directory', 'start with an empty state directory, or run what it was made by')
  return { meta, resumed: true }
}

/** `what` was written by another pipeline, plan or input: says so, and what to do; `inputRemedy`: if it is the input alone. */
export function checkKind(found: RunKind, wanted: RunKind, what: string, remedy: string, inputRemedy = remedy): void {
  checkPlan(found, wanted, what, remedy)
  checkSplits(found, wanted, what, inputRemedy)
}

/** The same of pipeline and plan alone. */
function checkPlan(found: RunKind, wanted: RunKind, what: string, remedy: string): void {
  checkPipeline(found, wanted, what, remedy)
  if (found.shape !== wanted.shape) {
    const difference = shapeDifference(JSON.parse(found.shape), JSON.parse(wanted.shape))
    throw new StateMismatchError(`${what} was written by another plan of '${wanted.pipeline}' (${difference}): ${remedy}`)
  }
}
