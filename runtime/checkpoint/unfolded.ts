import type { Blobs } from '../ports.ts'
import { type RunPorts, RunWriter, type SortedRun } from '../snapshot/runs.ts'
import { readChanges } from './changes.ts'
import { type FoldedItem, type FoldSpace, fold } from './fold.ts'
import type { SubtaskSnapshot } from './manifest.ts'

/** Folded items as a sorted run; their addresses there are without the name of the `run`. */
export async function writeRun(run: string, folded: readonly FoldedItem[], prefix: string, ports: RunPorts): Promise<SortedRun> {
  const writer = new RunWriter(ports, prefix)
  const strip = run.length + 1
  for (const { address, item, group } of folded) {
    const { value, expiry } = item
    await writer.add({ address: address.slice(strip), value, expiry, group })
  }
  return writer.finish()
}

/**
 * What a snapshot keeps as it was logged, as sorted runs that are newer than its own. `run`: whose addresses `space` gives.
 * @throws SnapshotError a blob in `from` is gone or damaged
 */
export async function unfoldedRuns(
  run: string,
  space: FoldSpace,
  { version, changes = [] }: SubtaskSnapshot,
  prefix: string,
  from: Pick<Blobs, 'get'>,
  ports: RunPorts,
): Promise<SortedRun[]> {
  const chunks = async function* () {
    for await (const chunk of readChanges(from, changes)) yield { version, chunk }
  }
  const runs: SortedRun[] = []
  await fold(space, true, chunks(), async folded => {
    runs.push(await writeRun(run, folded, prefix, ports))
  })
  return runs
}
