import type { CommitLog, Ports } from '../ports.ts'
import { StaleViewError } from '../state/base.ts'
import { readChanges } from './changes.ts'
import { decisions } from './decision.ts'
import { readManifest } from './manifest.ts'

/**
 * Replays what the last complete checkpoint keeps of a subtask's changes as they were logged, if that reaches beyond `marker`, the version that the base has: some few blobs, where the
 * log has one for each commit. Each change is absolute, so those that the base has already do no harm. Gives the version up to which all changes are in the base or replayed;
 * undefined: none are, and the log is to be read from the marker to the reader's `head`.
 *
 * @throws StaleViewError when the checkpoint has gone meanwhile, as there are newer ones
 */
export async function replayKept(
  { log, blobs }: Pick<Ports, 'log' | 'blobs'>,
  run: string,
  name: string,
  { marker, head }: { readonly marker: number; readonly head: number },
  apply: (chunk: Uint8Array, version: number) => void,
): Promise<number | undefined> {
  const last = await lastComplete(log, run)
  if (last === undefined) return undefined
  try {
    const part = (await readManifest(blobs, run, last)).subtasks.find(s => s.log === name)
    if (part?.changes === undefined || part.version <= marker) return undefined
    // A reader's view has no state of its future (E2).
    if (part.version > head) return undefined
    // The base is never behind what a complete checkpoint has folded; the marker may have been read before that.
    if ((part.folded ?? part.version) > marker) return undefined
    for await (const chunk of readChanges(blobs, part.changes)) apply(chunk, part.version)
    return part.version
  } catch (error) {
    if ((await lastComplete(log, run)) === last) throw error
    throw new StaleViewError(`checkpoint ${last} has gone while the state of ${name} was read from it`, { cause: error })
  }
}

async function lastComplete(log: CommitLog, run: string): Promise<number | undefined> {
  return (await decisions(log, run)).findLast(d => d.decision.outcome === 'complete')?.checkpoint
}
