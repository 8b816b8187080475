import { inWindows } from '../../connectors/at-once.ts'
import type { RangedBlobs } from '../../ports.ts'
import type { Topology } from '../../stage/topology.ts'
import type { SpilledRuns } from '../merge.ts'
import type { PartResult } from '../task.ts'
import { readJsonBlob } from './json-blob.ts'
import { partOf } from './names.ts'
import { runsFor, type StoredRuns } from './runs.ts'
import type { StoredFile } from './volumes.ts'

const READ_AT_ONCE = 16

/** What one part of a task has done, as it is kept: whoever puts it first has done it. Plain data. */
export interface StoredPart extends Omit<PartResult, 'outputs' | 'paused'> {
  /** By whom: of many that may have run, the one that counts. */
  readonly attempt: string
  /** Absent: the task is through. */
  readonly paused?: PartResult['paused']
  readonly spill: StoredRuns
  /** Of a part that paused: its scratch directory, by name of the file. */
  readonly scratch: Readonly<Record<string, StoredFile>>
  /** By number of the sink: results that wait for the end. */
  readonly held: Readonly<Record<number, StoredFile>>
}

/** What there is of a task so far, part by part. */
export async function partsOf(blobs: Pick<RangedBlobs, 'get'>, run: string, stage: number, shard: number): Promise<StoredPart[]> {
  const parts: StoredPart[] = []
  for (;;) {
    const part = await readJsonBlob<StoredPart>(blobs, partOf(run, stage, shard, parts.length))
    if (part === undefined) return parts
    parts.push(part)
    if (part.paused === undefined) return parts
  }
}

/** Whether these are all of a task. */
export function isThrough(parts: readonly StoredPart[]): boolean {
  return parts.length > 0 && parts.at(-1)!.paused === undefined
}

/** What the stages before have for a task, in order of stage, then of subtask. */
export async function inputsOf(blobs: RangedBlobs, topology: Topology, stage: number, shard: number): Promise<SpilledRuns[]> {
  const from = new Set(topology.plan.stages[stage]!.inputs.map(edge => edge.fromStage))
  const producers = topology.stages.flatMap(({ stage: { index }, parallelism }) =>
    from.has(index) ? Array.from({ length: parallelism }, (_, subtask) => ({ index, subtask })) : [],
  )
  const read = async ({ index, subtask }: (typeof producers)[number]) => {
    const parts = await partsOf(blobs, topology.run, index, subtask)
    return Promise.all(parts.map(part => runsFor(blobs, part.spill, stage, shard)))
  }
  const found = await Array.fromAsync(inWindows(READ_AT_ONCE, producers, read))
  return found.flat().filter(runs => runs !== undefined)
}
