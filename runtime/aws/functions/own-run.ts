import type { CheckpointStart } from '../../checkpoint/start.ts'
import { MillraceError } from '../../errors.ts'
import type { OpenRun } from './environment.ts'

/** Of a step that was called for another run, which has ended: logs of the one that there is now are none of its business. @throws MillraceError */
export function checkRun(
  run: OpenRun | undefined,
  { run: expected, checkpoint }: Pick<CheckpointStart, 'checkpoint'> & { readonly run: string },
): OpenRun {
  if (run?.topology.run === expected) return run
  throw new MillraceError(`checkpoint ${checkpoint} is of run ${expected}, but another run has taken its place`)
}
