import type { CommitLog } from '../ports.ts'
import { type CommitItem, decodeItem, type SealItem } from '../protocol/item.ts'
import { type Head, loadHead } from '../protocol/log.ts'
import type { Topology } from '../stage/topology.ts'

/** One subtask's part of a checkpoint, as its log tells it. */
export interface Part {
  readonly stage: number
  readonly shard: number
  readonly log: string
  /** The version that is the cut. */
  readonly version: number
  /** The commit item at the cut. */
  readonly item: CommitItem | SealItem
  readonly channelState: readonly string[]
  /** Its shard was split or merged before the cut: this is its end, and what came of it is in the parts of those that took over. */
  readonly ended?: true
}

/** A subtask, with its part or without. */
export interface FoundPart {
  readonly name: string
  readonly part: Part | undefined
  /** There never will be one: its shard was made while those before it had taken the barrier from some producers only. */
  readonly never?: true
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
  return (await find(log, topology, stage, shard, checkpoint, name => headAt(log, name, known))).part
}

/** Every subtask of the run, with its part or without: of a shard that was split or merged before its cut, also those that took over from it. `headOf`: how the heads of logs are read. */
export async function partsOf(
  log: CommitLog,
  topology: Topology,
  checkpoint: number,
  headOf: (name: string) => Promise<Head> = name => headAt(log, name),
): Promise<FoundPart[]> {
  const stages = topology.stages.map(async ({ stage, parallelism }) => {
    const found = new Map<number, FoundPart>()
    const visited = new Set<number>()
    const visit = async (shard: number): Promise<void> => {
      if (visited.has(shard)) return
      visited.add(shard)
      const one = await find(log, topology, stage.index, shard, checkpoint, headOf)
      found.set(shard, one)
      const { part } = one
      if (part?.ended && part.item.kind === 'seal') await Promise.all(part.item.children.map(visit))
    }
    await Promise.all(Array.from({ length: parallelism }, (_, shard) => visit(shard)))
    return [...found].sort(([a], [b]) => a - b).map(([, one]) => one)
  })
  return (await Promise.all(stages)).flat()
}

/** Read anew; `known`: see `loadHead`. */
export async function headAt(log: CommitLog, name: string, known?: number): Promise<Head> {
  return (await loadHead(log, name, Number.POSITIVE_INFINITY, known)).head
}

async function find(
  log: CommitLog,
  topology: Topology,
  stage: number,
  shard: number,
  checkpoint: number,
  headOf: (name: string) => Promise<Head>,
): Promise<FoundPart> {
  const name = topology.log(stage, shard)
  const head = await headOf(name)
  const { alignment, lastCut } = head.fields
  if (alignment !== undefined && alignment.checkpoint === checkpoint && alignment.pending.length === 0) {
    const item = await commitAt(log, name, alignment.version, `cut ${checkpoint}`)
    const { version, channelState } = alignment
    return { name, part: item && { stage, shard, log: name, version, item, channelState } }
  }
  if (head.sealed) return { name, part: await endOf(log, stage, shard, name, head) }
  const never = alignment === undefined && lastCut >= checkpoint
  return { name, part: undefined, ...(never && { never }) }
}

async function endOf(log: CommitLog, stage: number, shard: number, name: string, head: Head): Promise<Part | undefined> {
  const [version] = head.lastCommit
  const item = await commitAt(log, name, version, 'its end')
  return item && { stage, shard, log: name, version, item, channelState: [], ended: true }
}

async function commitAt(log: CommitLog, name: string, version: number, what: string) {
  const bytes = await log.get(name, version)
  // A later checkpoint came between the two reads: whoever asks is late, and this one is decided.
  if (bytes === undefined && (await log.floor(name)) > version) return undefined
  const item = bytes === undefined ? undefined : decodeItem(bytes)
  if (item === undefined || item.kind === 'abort') throw new Error(`${name} names slot ${version} as ${what}, which is no commit`)
  return item
}
