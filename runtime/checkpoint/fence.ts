import { allLogsOf } from '../inspect/stages.ts'
import type { CommitLog } from '../ports.ts'
import { FENCED } from '../protocol/log.ts'
import type { RunMeta } from './run-meta.ts'

/**
 * Ends the logs of a run whose place another takes (protocol.md, D8): their floors are raised above all versions, and whoever commits reads the floor behind its put (C2). An environment
 * that has hung, or that is warm and has not heard, gets nothing through any more; what it was given comes again. Also those that take over meanwhile: a log that was sealed before it was fenced names them, and
 * nobody else begins. Idempotent.
 */
export async function fenceRun(log: Pick<CommitLog, 'raiseFloor' | 'range'>, meta: RunMeta): Promise<void> {
  const fenced = new Set<string>()
  for (;;) {
    const names = (await allLogsOf(log, meta)).flatMap(({ names }) => names).filter(name => !fenced.has(name))
    if (names.length === 0) return
    for (const name of names) {
      await log.raiseFloor(name, FENCED)
      fenced.add(name)
    }
  }
}
