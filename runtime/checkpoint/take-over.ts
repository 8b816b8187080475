import type { Shape } from '../graph/shape.ts'
import { shapeDifference } from '../graph/shape-difference.ts'
import type { Ports } from '../ports.ts'
import { adoptShape, checkPipeline, type RunKind, type RunMeta, StateMismatchError } from './run-meta.ts'
import { checkUpgrade, upgradeOf } from './upgrade.ts'

const WHAT = 'the state of this stack'
const REMEDY = 'deploy the code that it was made by, or a stack of its own'

/** What a deployment allows beside code that goes on in the run's own logs. */
export interface TakeOverOptions {
  /** A run of the new code is to start from a checkpoint, so it may be cut into other stages; absent: no. */
  readonly newRun?: { readonly allowDrop?: boolean } | undefined
}

/**
 * Whether a stack's code goes on with the state of the run that is there, which other code has made.
 * @throws StateMismatchError
 */
export function checkTakeOver(
  found: RunMeta,
  wanted: Pick<RunKind, 'pipeline' | 'shape'>,
  { newRun }: TakeOverOptions = {},
): void {
  checkPipeline(found, wanted, WHAT, REMEDY)
  const upgrade = upgradeOf(found, wanted)
  if (newRun !== undefined || upgrade.sameLayout) {
    checkUpgrade(upgrade, wanted.pipeline, WHAT, newRun?.allowDrop ?? false)
    return
  }
  const difference = shapeDifference(JSON.parse(found.shape) as Shape, JSON.parse(wanted.shape) as Shape)
  throw new StateMismatchError(
    `${WHAT} was written by another plan of '${wanted.pipeline}' (${difference}): ${REMEDY}. Or begin a new run with it, from a checkpoint: newRun of the construct says how`,
  )
}

/** The stack's run as this code goes on with it. @throws StateMismatchError */
export async function takeOver(
  ports: Pick<Ports, 'log'>,
  found: RunMeta,
  { pipeline, shape }: Pick<RunKind, 'pipeline' | 'shape'>,
): Promise<RunMeta> {
  checkTakeOver(found, { pipeline, shape })
  await adoptShape(ports, found.run, shape, 'this stack')
  return { ...found, shape }
}
