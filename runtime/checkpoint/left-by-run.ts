import type { CommitLog } from '../ports.ts'
import { decisions, decisionsLog } from './decision.ts'

/** Manifests first: without them nobody starts from what is left. */
const KINDS = ['checkpoints', 'segments', 'chunks', 'channels', 'sinks', 'materialised', 'holds']

/** Each blob of a run starts with one of these. */
export function blobsOf(run: string): string[] {
  return KINDS.map(kind => `${kind}/${run}/`)
}

/** Whose an item of state is: of an entry or a timer (state/address.ts), or a subtask's marker or claim, which name its log. */
export function runOfItem(pk: string): string {
  const [first = '', second = ''] = pk.split('|', 2)
  return first === 'marker' || first === 'claims' ? runOfLog(second) : first
}

/** '': no run's. */
export function runOfLog(log: string): string {
  return log.slice(0, Math.max(0, log.indexOf('/')))
}

/**
 * Deletes all decisions of a run that has ended but the last: that is the one which ended it, and its number, if it were free, could be decided otherwise by a step that hangs (protocol.md, D8).
 */
export async function keepLastDecision(log: CommitLog, run: string): Promise<void> {
  const last = (await decisions(log, run)).at(-1)?.checkpoint ?? 0
  await log.raiseFloor(decisionsLog(run), last)
  await log.expire(decisionsLog(run), 1, last)
}
