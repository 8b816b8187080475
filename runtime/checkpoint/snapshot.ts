import type { Ports } from '../ports.ts'
import { addRun, type Runs, RunWriter } from '../snapshot/runs.ts'
import type { Topology } from '../stage/topology.ts'
import { segmentsOf } from './blob-names.ts'
import type { Part } from './cut.ts'
import { readManifest } from './manifest.ts'
import { type FoldedItem, type Materialised, materialise } from './materialise.ts'
import type { CheckpointStart } from './start.ts'

/** A part of a checkpoint, materialised. */
export interface MaterialisedPart extends Materialised {
  /** Its keyed state as of the cut; undefined: this run keeps no snapshots. */
  readonly runs: Runs | undefined
}

/** Folds a part into the base and, if the run keeps snapshots, what changed since the last complete checkpoint into a segment. `exclusive`: see MaterialiseOptions. */
export async function materialisePart(
  topology: Topology,
  start: CheckpointStart,
  part: Part,
  ports: Ports,
  exclusive = false,
): Promise<MaterialisedPart> {
  const at = topology.stages[part.stage]!
  if (!topology.snapshots)
    return { ...(await materialise(topology, at, part.shard, part.version, ports, { exclusive })), runs: undefined }
  const before =
    start.previous === undefined
      ? undefined
      : (await readManifest(ports.blobs, topology.run, start.previous)).subtasks.find(s => s.log === part.log)
  const prefix = `${segmentsOf(part.log)}${start.checkpoint}`
  const strip = topology.run.length + 1
  let runs: Runs = before?.runs ?? []
  const snapshot = {
    since: before?.version ?? 0,
    async take(folded: readonly FoldedItem[]) {
      const writer = new RunWriter(ports, prefix)
      for (const { address, item } of folded) {
        const { value, expiry } = item
        await writer.add({ address: address.slice(strip), value, ...(expiry !== undefined && { expiry }) })
      }
      runs = await addRun(ports, prefix, runs, await writer.finish())
    },
  }
  const done = await materialise(topology, at, part.shard, part.version, ports, { exclusive, snapshot })
  return { ...done, runs }
}
