import type { CommitLog } from '../ports.ts'
import { type CommitItem, decodeItem } from '../protocol/item.ts'
import { loadHead } from '../protocol/log.ts'
import type { Topology } from '../stage/topology.ts'

/** One subtask's part of a checkpoint, as its log tells it. */
export interface Part {
  readonly stage: number
  readonly shard: number
  readonly log: string
  /** The version that is the cut. */
  readonly version: number
  /** The commit item at the cut. */
  readonly item: CommitItem
  readonly channelState: readonly string[]
}

/**
 * Whether a subtask is through with checkpoint n: acks are hints, the logs decide (protocol.md, D5). Undefined: not yet. `known`: see `loadHead`.
 */
export async function partOf(
  log: CommitLog,
  topology: Topology,
  stage: number,
  shard: number,
  checkpoint: number,
  known?: number,
): Promise<Part | undefined> {
  const name = topology.log(stage, shard)
  const { head } = await loadHead(log, name, Number.POSITIVE_INFINITY, known)
  const alignment = head.fields.alignment
  if (alignment === undefined || alignment.checkpoint !== checkpoint || alignment.pending.length > 0) return undefined
  const bytes = await log.get(name, alignment.version)
  // A later checkpoint came between the two reads: whoever asks is late, and this one is decided.
  if (bytes === undefined && (await log.floor(name)) > alignment.version) return undefined
  const item = bytes === undefined ? undefined : decodeItem(bytes)
  if (item?.kind !== 'commit') throw new Error(`${name} names slot ${alignment.version} as cut ${checkpoint}, which is no commit`)
  return { stage, shard, log: name, version: alignment.version, item, channelState: alignment.channelState }
}

/** Every subtask of the run, with its part or without. */
export async function partsOf(
  log: CommitLog,
  topology: Topology,
  checkpoint: number,
  known?: (log: string) => number | undefined,
): Promise<{ name: string; part: Part | undefined }[]> {
  const all = topology.stages.flatMap(at =>
    Array.from({ length: at.parallelism }, (_, shard) => ({ stage: at.stage.index, shard })),
  )
  return Promise.all(
    all.map(async ({ stage, shard }) => ({
      name: topology.log(stage, shard),
      part: await partOf(log, topology, stage, shard, checkpoint, known?.(topology.log(stage, shard))),
    })),
  )
}
