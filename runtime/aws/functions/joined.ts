import { MillraceError } from '../../errors.ts'
import type { CommitLog } from '../../ports.ts'
import type { OpenRun } from './environment.ts'

/**
 * A run that starts from a checkpoint reads its source's stream on from there, but an event source mapping goes on where it stands, which is further. So a subtask reads what lies between by itself, up to
 * what the stream has now (join-source.ts), and says so here; before that it takes nothing of a mapping.
 */
const joinedLog = (run: string, source: string) => `${run}/sources/${source}/joined`

/** A batch came before its subtask has read on from its checkpoint. It comes again. */
export class NotJoinedError extends MillraceError {
  override readonly name = 'NotJoinedError'
  override readonly retryable = true
}

/** Whether a subtask of a source may take what its mapping brings. A run that has not begun with a checkpoint has nothing to read on from. */
export async function isJoined(
  log: Pick<CommitLog, 'get'>,
  { meta }: Pick<OpenRun, 'meta'>,
  source: string,
  subtask: number,
): Promise<boolean> {
  return meta.origin === undefined || (await log.get(joinedLog(meta.run, source), subtask + 1)) !== undefined
}

export async function tellJoined(
  log: Pick<CommitLog, 'putIfAbsent'>,
  run: string,
  source: string,
  subtask: number,
): Promise<void> {
  await log.putIfAbsent(joinedLog(run, source), subtask + 1, new Uint8Array([1]))
}
