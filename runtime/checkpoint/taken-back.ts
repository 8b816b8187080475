import type { CommitLog } from '../ports.ts'
import { StateMismatchError } from './run-meta.ts'

/** One slot for each checkpoint that the sinks of a run were taken back to, or may have been. */
const takenBackLog = (run: string) => `${run}/taken-back`

/** From now on what the sinks of `run` had shown behind `checkpoint` may be gone. Before the first of them is asked to. Idempotent. */
export async function markTakenBack(log: Pick<CommitLog, 'putIfAbsent'>, run: string, checkpoint: number): Promise<void> {
  await log.putIfAbsent(takenBackLog(run), checkpoint, new Uint8Array([1]))
}

/**
 * A start from an older checkpoint has died behind its sinks: nothing would show again what came between that one and a newer one.
 * @throws StateMismatchError naming the one that can be started from
 */
export async function refuseTakenBack(
  log: Pick<CommitLog, 'range'>,
  run: string,
  checkpoint: number,
  where: string,
): Promise<void> {
  const [oldest] = await log.range(takenBackLog(run), 1, 1)
  if (oldest === undefined || oldest.version >= checkpoint) return
  throw new StateMismatchError(
    `starting from checkpoint ${oldest.version} was interrupted in ${where} when the output behind it had been taken back, so that checkpoint ${checkpoint} would leave a hole in it: start from checkpoint ${oldest.version}, or from an older one`,
  )
}
