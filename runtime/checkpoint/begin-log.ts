import type { CommitLog } from '../ports.ts'
import { BrokenLogError } from '../protocol/errors.ts'
import type { HeadFields } from '../protocol/item.ts'
import { putSlot } from '../protocol/log.ts'

/**
 * Starts a log with one commit at `version`, in the place of all that came before it elsewhere. `attempt`: what it says instead of an attempt's id; the same whoever writes it, so that it may be written again.
 * The marker has to be there before.
 */
export async function beginLog(log: CommitLog, name: string, version: number, attempt: string, head: HeadFields): Promise<void> {
  const item = { kind: 'commit', attempt, prev: '', lastCommit: [0, ''], head, chunk: undefined } as const
  if (!(await putSlot(log, name, version, item))) throw new BrokenLogError(`slot ${version} of ${name}, a new log, is taken`)
  // From here on the log is read from this slot.
  await log.raiseFloor(name, version)
}
