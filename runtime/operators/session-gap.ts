import type { SessionAssigner } from '../windows/assigners.ts'
import type { OperatorContext } from './operator.ts'
import { UserCodeError, userError } from './user-code.ts'

/** How long (ms) the session of this record lasts after it. */
export function sessionGap(ctx: OperatorContext, assigner: SessionAssigner<any>, value: any, timestamp: number): number {
  if (typeof assigner.gap === 'number') return assigner.gap
  let gap: number
  try {
    gap = assigner.gap(value)
  } catch (error) {
    throw userError(ctx, timestamp, 'the gap of session', error)
  }
  if (Number.isFinite(gap) && gap > 0) return gap
  throw new UserCodeError(
    ctx.operatorId,
    timestamp,
    `the gap of session gave ${String(gap)}; it has to give milliseconds above 0`,
  )
}
