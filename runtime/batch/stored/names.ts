/** Blobs of a backfill whose tasks share no disk. All of them lie below this. */
export function backfillOf(run: string): string {
  return `backfill/${run}/`
}

/** What the backfill is. */
export const jobOf = (run: string) => `${backfillOf(run)}job.json`

/** The tasks that run side by side: a list, one behind the other. */
export const waveOf = (run: string, wave: number) => `${backfillOf(run)}waves/${wave}.json`

/** What parts of tasks have done: a part is done when it is there. */
export const doneOf = (run: string) => `${backfillOf(run)}done/`
export const partOf = (run: string, stage: number, shard: number, part: number) => `${doneOf(run)}${stage}-${shard}-${part}.json`

/** What a part has made is below this, by the attempt. */
export const attemptsOf = (run: string) => `${backfillOf(run)}attempts/`

/** What sinks stage. */
export const stagedOf = (run: string) => `${backfillOf(run)}staged/`

/** State that a stream goes on with, by the attempt that won. */
export const keptOf = (run: string, attempt: string) => `${backfillOf(run)}kept/${attempt}/`

/** How far the results of a subtask are sent, for a sink that nothing can be staged in. */
export const sentOf = (run: string, sink: number, shard: number) => `${backfillOf(run)}sent/${sink}-${shard}.json`

/** Why a task can't be done. */
export const failuresOf = (run: string) => `${backfillOf(run)}failed/`
