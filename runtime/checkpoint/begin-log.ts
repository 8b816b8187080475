import type { CommitLog } from '../ports.ts'
import { BrokenLogError } from '../protocol/errors.ts'
import type { ChunkRef, CommitItem, HeadFields } from '../protocol/item.ts'
import { putSlot } from '../protocol/log.ts'

/**
 * Starts a log with one commit at `version`, in the place of all that came before it elsewhere. `attempt`: what it says instead of an attempt's id; the same whoever writes it, so that it may be written again.
 * The marker has to be there before. `chunk`: state changes that come with it, in a commit of their own behind that one, as what lies at the marker is taken to be in the base.
 */
export async function beginLog(
  log: CommitLog,
  name: string,
  version: number,
  attempt: string,
  head: HeadFields,
  chunk?: ChunkRef,
): Promise<void> {
  const first = { kind: 'commit', attempt, prev: '', lastCommit: [0, ''], head, chunk: undefined } as const
  await putOwn(log, name, version, first)
  if (chunk !== undefined)
    await putOwn(log, name, version + 1, { ...first, prev: attempt, lastCommit: [version, attempt], chunk })
  // From here on the log is read from this slot.
  await log.raiseFloor(name, version)
}

async function putOwn(log: CommitLog, name: string, version: number, item: CommitItem): Promise<void> {
  if (!(await putSlot(log, name, version, item))) throw new BrokenLogError(`slot ${version} of ${name}, a new log, is taken`)
}
