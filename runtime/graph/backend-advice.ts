import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { StateBackendName } from '../state/backend.ts'
import type { PhysicalPlan } from './plan.ts'

/** Which state backend fits a pipeline, by a plain rule. */
export interface BackendAdvice {
  /** As the pipeline says; what runs it may say otherwise. */
  readonly chosen: StateBackendName
  readonly advised: StateBackendName
  readonly reason: string
}

/** Of a run: how many entries the largest of its subtasks keeps. */
export interface StateFigures {
  /** Whose figures these are. */
  readonly checkpoint: number
  readonly subtask: string
  readonly entries: number
}

/**
 * A fold of 8 MB of changes (docs/snapshot-format.md) has about 100,000 of them. With fewer entries than this, four fifths have been overwritten by then; with more, each change comes closer to a row of its
 * own, of $0.63 a million, where a segment of 2 MB is one put of $0.000005.
 */
export const ENTRIES_OF_A_TABLE = 20_000

/** They keep an entry for each record, which is written once, and deleted later: the most even use that there is. */
const PER_RECORD = new Set(['dedup', 'intervalJoin'])

/** What the plan knows, and figures of a run if there are some. */
export function adviseBackend(plan: PhysicalPlan, figures?: StateFigures): BackendAdvice {
  const chosen = plan.graph.options.stateBackend ?? 'table'
  const keyed = plan.stages.flatMap(keyedNodes)
  if (keyed.length === 0) return { chosen, advised: chosen, reason: 'nothing keeps state, so that it makes no difference' }
  if (figures !== undefined) {
    const { entries, subtask, checkpoint } = figures
    const found = `${subtask} keeps ${entries.toLocaleString('en')} entries at checkpoint ${checkpoint}`
    const limit = ENTRIES_OF_A_TABLE.toLocaleString('en')
    return entries > ENTRIES_OF_A_TABLE
      ? { chosen, advised: 'segments', reason: `${found}: with more than ${limit}, most changes would be rows of their own` }
      : { chosen, advised: 'table', reason: `${found}: up to ${limit}, most changes are overwritten before they become rows` }
  }
  const perRecord = keyed.filter(({ node }) => PER_RECORD.has(node.type)).map(({ operatorId }) => operatorId)
  if (perRecord.length > 0)
    return {
      chosen,
      advised: 'segments',
      reason: `${perRecord.join(', ')} ${perRecord.length === 1 ? 'keeps' : 'keep'} an entry for each record, and each would be a row`,
    }
  return {
    chosen,
    advised: 'table',
    reason: `its reads take 5 ms, and hot keys cost one row for many changes; but with more than ${ENTRIES_OF_A_TABLE.toLocaleString('en')} entries in a subtask, evenly used, segments costs less: the plan does not know how many there are, --state DIR counts those of a run`,
  }
}

/** For people, in one line. */
export function adviceText({ chosen, advised, reason }: BackendAdvice): string {
  return `state backend: ${chosen}${chosen === advised ? '' : `; ${advised} would fit better`} (${reason})`
}
