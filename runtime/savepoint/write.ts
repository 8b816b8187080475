import { spaceIn } from '../checkpoint/fold.ts'
import type { Manifest, SubtaskSnapshot } from '../checkpoint/manifest.ts'
import { unfoldedRuns } from '../checkpoint/unfolded.ts'
import type { Blobs, Ports } from '../ports.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { merge, type RunPorts, type Runs, type SortedRun } from '../snapshot/runs.ts'
import { encodeSavepoint, fileOf, type SavepointFile, type SavepointManifest, type SavepointOrigin } from './format.ts'
import { METADATA } from './names.ts'

/**
 * Writes a checkpoint out as a savepoint, which needs nothing but itself: each subtask's keyed state folded into one sorted run, channel state copied, and the manifest last. `from` has
 * the checkpoint's blobs, which have to stay meanwhile (checkpoint/hold.ts). What was written of one that fails is taken away.
 *
 * @throws SnapshotError a part of the checkpoint is gone or damaged, or `to` is not empty
 */
export async function writeSavepoint(
  checkpoint: Manifest,
  from: Pick<Blobs, 'get'>,
  to: Blobs,
  takenFrom: SavepointOrigin,
  { clock, random }: Pick<Ports, 'clock' | 'random'>,
): Promise<SavepointManifest> {
  const [something] = await to.list('')
  if (something !== undefined) throw new SnapshotError(`a savepoint needs a place of its own: ${something} is there already`)
  const files: SavepointFile[] = []
  const blobs: Blobs = {
    ...to,
    get: name => from.get(name),
    async put(name, data) {
      files.push(fileOf(name, data))
      await to.put(name, data)
    },
  }
  try {
    const subtasks: SubtaskSnapshot[] = []
    for (const s of checkpoint.subtasks) subtasks.push(await writeSubtask(checkpoint, s, { blobs, random }))
    const manifest: SavepointManifest = { ...checkpoint, subtasks, takenAt: clock.now(), takenFrom, files }
    if (await to.putIfAbsent(METADATA, encodeSavepoint(manifest))) return manifest
    throw new SnapshotError('another savepoint was written to the same place meanwhile')
  } catch (error) {
    for (const { name } of files) await to.delete(name)
    throw error
  }
}

/** `blobs`: read from the checkpoint, written to the savepoint. */
async function writeSubtask(checkpoint: Manifest, s: SubtaskSnapshot, ports: RunPorts): Promise<SubtaskSnapshot> {
  const { stage, shard, log, runs } = s
  if (runs === undefined) throw new SnapshotError(`the checkpoint holds no state of ${log}: its run kept no snapshots`)
  const run = await oneRun(checkpoint, s, runs, ports)
  const channelState: string[] = []
  for (const [i, blob] of s.channelState.entries()) {
    const data = await ports.blobs.get(blob)
    if (data === undefined) throw new SnapshotError(`channel state ${blob} is gone, though the checkpoint names it`)
    const name = `channels/${stage}-${shard}-${ports.random.id()}-${i}`
    await ports.blobs.put(name, data)
    channelState.push(name)
  }
  return { ...s, runs: run.length === 0 ? [] : [run], folded: s.version, changes: [], channelState }
}

/** With what the checkpoint keeps as it was logged. */
async function oneRun(checkpoint: Manifest, s: SubtaskSnapshot, runs: Runs, ports: RunPorts): Promise<SortedRun> {
  const prefix = `segments/${s.stage}-${s.shard}`
  // Over those of the subtasks that have ended, whose entries it may have deleted.
  const hides = s.ended !== undefined || checkpoint.subtasks.some(other => other.stage === s.stage && other.ended)
  const scratch = scratchBlobs(ports.blobs)
  const unfolded = await unfoldedRuns(checkpoint.run, spaceIn(checkpoint, s), s, 'unfolded', ports.blobs, {
    ...ports,
    blobs: scratch,
  })
  return merge({ ...ports, blobs: { ...ports.blobs, get: scratch.get } }, prefix, [...runs, ...unfolded], !hides)
}

/** Takes what need not last in memory: it is no more than is logged between two folds. */
function scratchBlobs(behind: RunPorts['blobs']): RunPorts['blobs'] {
  const held = new Map<string, Uint8Array>()
  return {
    async put(name, data) {
      held.set(name, data)
    },
    get: async name => held.get(name) ?? behind.get(name),
  }
}
