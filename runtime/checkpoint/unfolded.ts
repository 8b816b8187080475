import type { Blobs } from '../ports.ts'
import { type RunPorts, RunWriter, type SortedRun } from '../snapshot/runs.ts'
import { readChanges } from './changes.ts'
import { type FoldSpace, fold, type Target } from './fold.ts'
import type { SubtaskSnapshot } from './manifest.ts'

/** Makes a sorted run of what is handed over at a time; addresses there are without the name of the `run`. */
export function runTarget(
  run: string,
  prefix: string,
  ports: RunPorts,
  done: (written: SortedRun, version: number) => Promise<void>,
): Target {
  const strip = run.length + 1
  let writer: RunWriter | undefined
  return {
    async add(items) {
      writer ??= new RunWriter(ports, prefix)
      for (const { address, item, group } of items) {
        const { value, expiry } = item
        const full = writer.add({ address: address.slice(strip), value, expiry, group })
        if (full !== undefined) await full
      }
    },
    async done(version) {
      const written = await (writer?.finish() ?? [])
      writer = undefined
      await done(written, version)
    },
  }
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
  const target = runTarget(run, prefix, ports, async written => {
    runs.push(written)
  })
  await fold(space, true, chunks(), target)
  return runs
}
