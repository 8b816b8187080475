import type { CommitLog } from '../ports.ts'
import { FENCED } from '../protocol/log.ts'

/**
 * Ends the logs of a run whose place another takes (protocol.md, D8): their floors are raised above all versions, and whoever commits reads the floor behind its put (C2). An environment
 * that has hung, or that is warm and has not heard, gets nothing through any more; what it was given comes again. Idempotent.
 */
export async function fenceLogs(log: Pick<CommitLog, 'raiseFloor'>, logs: readonly string[]): Promise<void> {
  for (const name of logs) await log.raiseFloor(name, FENCED)
}
