import type { Ports } from '../ports.ts'
import type { Part } from './cut.ts'
import { readManifest } from './manifest.ts'
import type { MaterialisedPart } from './snapshot.ts'
import type { CheckpointStart } from './start.ts'

/**
 * The parts that the last complete checkpoint already had as they are, by log: of shards that have ended, with nothing left to be done. They go on from manifest to manifest, so that a run may be rescaled often. The same whenever it
 * is asked of a checkpoint.
 */
export async function settledParts(
  { run, previous }: CheckpointStart & { readonly run: string },
  parts: readonly Part[],
  ports: Pick<Ports, 'blobs'>,
): Promise<ReadonlyMap<string, MaterialisedPart>> {
  const settled = new Map<string, MaterialisedPart>()
  const ended = new Map(parts.filter(p => p.ended).map(p => [p.log, p.version]))
  if (ended.size === 0 || previous === undefined) return settled
  for (const subtask of (await readManifest(ports.blobs, run, previous)).subtasks) {
    const { log, version, runs, folded, changes } = subtask
    if (!subtask.settled || ended.get(log) !== version) continue
    const nothing = { from: version, to: version, items: 0, bytes: 0, tombstones: new Set<string>() }
    settled.set(log, { ...nothing, runs, folded, changes, settled: true, carried: true })
  }
  return settled
}
