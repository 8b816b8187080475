import type { Ports } from '../ports.ts'
import type { SnapshotItem } from '../snapshot/item.ts'
import { addRun } from '../snapshot/runs.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { type Base, readBase, writeBase } from './base.ts'
import { segmentsOf } from './blob-names.ts'
import { SupersededFoldError } from './claims.ts'
import { type ExpiryBounds, expiredBy } from './expired.ts'
import { fold, spaceOf, type Target } from './fold.ts'
import { loggedChunks, type Materialised } from './materialise.ts'
import { runTarget } from './unfolded.ts'

export interface FoldToSegments {
  /** In the names of its segments: what retention goes by (checkpoint/retention.ts). */
  readonly checkpoint: number
  readonly itemsMax?: number
  /** Entries that may go from the base when its runs are merged, or need not come to it. Default: none. */
  readonly expired?: ExpiryBounds
}

/**
 * What `materialise` does, with the backend `segments`: folds a subtask's log from the marker to `cut` into a sorted run on top of those that the marker names, merges what has
 * become too many, and then moves the marker to the new list (protocol.md, E3); one that takes longer than it may goes on from the marker when it is called again. Nothing that a reader may have is changed. Two folds may go on at the same time: each writes
 * segments of its own on top of a base that the marker named, and the marker takes one of them only, so that no claims are needed, and no tombstones swept (E4): an entry that
 * was made and deleted again among these changes is in no run before.
 *
 * @throws SupersededFoldError when the marker is past `cut`: a later checkpoint's fold was first
 */
export async function foldToSegments(
  topology: Topology,
  at: StageTopology,
  shard: number,
  cut: number,
  ports: Ports,
  { checkpoint, itemsMax, expired }: FoldToSegments,
): Promise<Materialised & Pick<Base, 'runs'>> {
  const log = topology.log(at.stage.index, shard)
  const before = await readBase(ports.store, log)
  const from = before.version
  let [items, bytes, runs] = [0, 0, before.runs]
  if (from < cut) {
    const prefix = `${segmentsOf(log)}${checkpoint}`
    const expiredOf = expired && expiredBy(topology.run, expired)
    const isExpired = expiredOf && ((item: SnapshotItem) => expiredOf(item) !== undefined)
    const toRun = runTarget(topology.run, prefix, ports, async (written, version) => {
      runs = await addRun(ports, prefix, runs, written, { isExpired })
      // With the number of the fold before: this one, and others of its checkpoint, will move it again.
      if (version < cut) await writeBase(ports.store, log, { version, runs, checkpoint: before.checkpoint })
    })
    const target: Target = {
      async add(folded) {
        items += folded.length
        for (const { item } of folded) bytes += item.value?.length ?? 0
        await toRun.add(folded)
      },
      done: toRun.done,
    }
    try {
      await fold(spaceOf(topology, at.stage, shard, expired), true, loggedChunks(ports, log, from, cut), target, itemsMax)
      await writeBase(ports.store, log, { version: cut, runs, checkpoint })
    } catch (error) {
      // What another fold has taken the place of may be gone.
      if ((await readBase(ports.store, log)).version < cut) throw error
    }
  }
  // Of two folds to one cut the first counts: retention keeps what the marker names, so the manifest has to name the same.
  const base = await readBase(ports.store, log)
  if (base.version !== cut)
    throw new SupersededFoldError(`a fold of ${log} up to version ${cut} came after one up to ${base.version}`)
  return { from, to: cut, items, bytes, tombstones: new Set(), runs: base.runs }
}
