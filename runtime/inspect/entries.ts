import { readChanges } from '../checkpoint/changes.ts'
import { fold, spaceIn } from '../checkpoint/fold.ts'
import type { Manifest } from '../checkpoint/manifest.ts'
import type { StateFigures } from '../graph/backend-advice.ts'
import type { Blobs } from '../ports.ts'

/** How many entries the subtask keeps that keeps the most; at most, as one that was changed since it was last folded is counted again. Undefined: the checkpoint holds no state. */
export async function largestState(manifest: Manifest, blobs: Pick<Blobs, 'get'>): Promise<StateFigures | undefined> {
  let largest: StateFigures | undefined
  for (const subtask of manifest.subtasks) {
    let entries = (subtask.runs ?? []).flat().reduce((sum, { items }) => sum + items, 0)
    const chunks = async function* () {
      for await (const chunk of readChanges(blobs, subtask.changes ?? [])) yield { version: subtask.version, chunk }
    }
    await fold(spaceIn(manifest, subtask), true, chunks(), {
      async add(folded) {
        entries += folded.length
      },
      async done() {},
    })
    if (entries > (largest?.entries ?? 0))
      largest = { checkpoint: manifest.checkpoint, subtask: subtask.log.slice(manifest.run.length + 1), entries }
  }
  return largest
}
