import type { HeadFields } from '../protocol/item.ts'
import { SnapshotError } from '../snapshot/error.ts'
import type { Topology } from '../stage/topology.ts'
import { type FoldSpace, spaceOf } from './fold.ts'
import type { Manifest, SubtaskSnapshot } from './manifest.ts'

/** What one subtask of a new run begins with. */
export interface Beginning {
  readonly stage: number
  readonly shard: number
  /** Of its log's first commit: at or above that of each cut which its state is of. */
  readonly version: number
  readonly head: HeadFields
  /** What was on its way to it: blobs of the checkpoint, by name, or as they are to be. */
  readonly channelState: readonly (string | Uint8Array)[]
  /** Whose keyed state it takes over. */
  readonly states: readonly FormerState[]
  /** Which of that, by address (snapshot/item.ts). */
  readonly takes: (address: string) => boolean
}

/** Keyed state of a subtask of the former run. */
export interface FormerState {
  readonly snapshot: SubtaskSnapshot
  /** How the changes that it keeps as they were logged are to be read. */
  readonly space: FoldSpace
}

/** Each subtask as it was: for a run of the same plan. */
export function sameBeginnings(manifest: Manifest, topology: Topology): Beginning[] {
  refuseRescaled(manifest)
  const { subtasks } = manifest
  return subtasks.map(snapshot => {
    const { stage, shard, version, head, channelState } = snapshot
    const space = spaceOf(topology, topology.stages[stage]!.stage, shard)
    return { stage, shard, version, head, channelState, states: [{ snapshot, space }], takes: () => true }
  })
}

/** @throws SnapshotError for a checkpoint in which subtasks have taken over from others: who has which keys there is not asked yet when a run begins */
export function refuseRescaled({ subtasks, checkpoint, run }: Manifest): void {
  if (subtasks.some(s => s.ended))
    throw new SnapshotError(
      `checkpoint ${checkpoint} of run ${run} was taken after its stages were rescaled while they ran: no other run can start from such a one yet. Its own run goes on`,
    )
}
