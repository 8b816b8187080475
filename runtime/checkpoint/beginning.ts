import type { HeadFields } from '../protocol/item.ts'
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
  /** Whose keyed state it takes over, all of it; undefined: that is divided among all (checkpoint/divide/state.ts). */
  readonly state: FormerState | undefined
}

/** Keyed state of a subtask of the former run. */
interface FormerState {
  readonly snapshot: SubtaskSnapshot
  /** How the changes that it keeps as they were logged are to be read. */
  readonly space: FoldSpace
}

/** Each subtask as it was: for a run of the same plan, whose shards were never split or merged. */
export function sameBeginnings({ subtasks }: Manifest, topology: Topology): Beginning[] {
  return subtasks.map(snapshot => {
    const { stage, shard, version, head, channelState } = snapshot
    const space = spaceOf(topology, topology.stages[stage]!.stage, shard)
    return { stage, shard, version, head, channelState, state: { snapshot, space } }
  })
}
