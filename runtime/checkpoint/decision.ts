import { MillraceError } from '../errors.ts'
import type { CommitLog } from '../ports.ts'
import { pack, unpack } from '../state/codec.ts'

/** How checkpoint n ended: one item, put if absent (protocol.md, D6). Nobody acts on n before it is there. */
export interface Decision {
  /** interrupted: the process that drove it ended first. */
  readonly outcome: 'complete' | 'failed' | 'interrupted' | 'superseded'
  readonly startedAt: number
  readonly decidedAt: number
  readonly bytes: number
  /** Not complete: why. Failed: names the subtasks that did not ack. */
  readonly reason?: string
  /** It is where this run began: what its sinks had staged was committed in the name of the run before. */
  readonly restored?: boolean
}

export const decisionsLog = (run: string) => `${run}/decisions`

/**
 * What was decided: by this call, or by whoever was first.
 * @throws MillraceError when that one's decision went between two looks, as later ones let go of it: then this call comes too late for anything
 */
export async function decide(log: CommitLog, run: string, checkpoint: number, decision: Decision): Promise<Decision> {
  if (await log.putIfAbsent(decisionsLog(run), checkpoint, pack(decision))) return decision
  const decided = await decisionOf(log, run, checkpoint)
  if (decided !== undefined) return decided
  throw new MillraceError(`checkpoint ${checkpoint} of ${run} was decided so long ago that how is not kept any more`)
}

export async function decisionOf(log: CommitLog, run: string, checkpoint: number): Promise<Decision | undefined> {
  const bytes = await log.get(decisionsLog(run), checkpoint)
  return bytes === undefined ? undefined : unpack<Decision>(bytes)
}

/** So many decisions stay, which is what `millrace checkpoints` can list. */
const KEPT = 200

/** Deletes old decisions, so that a run that takes a checkpoint each second does not read more and more; none from `needed` on. */
export async function trimDecisions(log: CommitLog, run: string, last: number, needed: number): Promise<void> {
  const name = decisionsLog(run)
  const [floor, wanted] = [await log.floor(name), Math.min(last - KEPT, needed)]
  // Now and then: each time takes two calls.
  if (wanted < floor + KEPT / 4) return
  await log.raiseFloor(name, wanted)
  await log.expire(name, floor, wanted)
}

/** The decisions of a run, oldest first: all that are kept. */
export async function decisions(log: CommitLog, run: string): Promise<{ checkpoint: number; decision: Decision }[]> {
  const all: { checkpoint: number; decision: Decision }[] = []
  for (let from = Math.max(1, await log.floor(decisionsLog(run))); ; ) {
    const page = await log.range(decisionsLog(run), from, 500)
    for (const { version, item } of page) all.push({ checkpoint: version, decision: unpack<Decision>(item) })
    if (page.length < 500) return all
    from = page.at(-1)!.version + 1
  }
}
