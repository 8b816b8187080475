import type { SourceBatch, SourcePosition } from '../../connectors/source.ts'
import { rawBytes } from '../../stage/decode.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Arrival } from './arrivals.ts'
import type { Environment } from './environment.ts'
import { giveUp, isPoison, openTries } from './poison.ts'
import type { ShardTask } from './shard-task.ts'

/** A record of the user's; a string is UTF-8. */
export interface RawArrival extends Omit<Arrival, 'data'> {
  readonly data: string | Uint8Array
}

/** Records of one split that are taken together. */
export interface Part {
  readonly records: readonly RawArrival[]
  /** The same, for the subtask. */
  readonly batch: SourceBatch
  /** When this is committed, nothing is left. */
  readonly isLast?: boolean
}

/** At most `limit` of the records behind `position`, where the watermark is `watermark`; with no record, unless `batch` says otherwise, there are none left. */
export type TakePart = (position: SourcePosition | undefined, watermark: number, limit: number) => Promise<Part> | Part

/**
 * Takes a source's records, part by part, until all of them are committed.
 *
 * Where user code throws, smaller and smaller parts are taken until the record is found that fails alone, each time: everything before it is committed
 * by then, and it is committed as skipped, together with its dead letter.
 */
export async function deliverParts(
  environment: Environment,
  topology: Topology,
  at: StageTopology,
  task: ShardTask,
  limitMax: number,
  take: TakePart,
): Promise<void> {
  const rejected = new Map<string, string>()
  const tries = openTries(environment.ports.clock)
  let limit = limitMax
  for (;;) {
    let taken: Part['records'] = []
    let isLast = false
    const read = async (position: SourcePosition | undefined, watermark: number) => {
      const part = await take(position, watermark, limit)
      taken = part.records
      isLast = part.isLast ?? false
      return withRejected(part, rejected)
    }
    try {
      if (!(await task.run(subtask => subtask.deliverSource(read))) || isLast) return
      limit = Math.min(limitMax, limit * 2)
    } catch (error) {
      const [only, another] = taken
      // Without a record it was a timer, which can't be left out.
      if (!isPoison(error) || only === undefined) throw error
      if (another !== undefined) {
        limit = taken.length >> 1
        continue
      }
      const reason = await tries.failed(only.id, error)
      if (reason === undefined) continue
      await keepLetter(environment, topology, at, task.shard, only, reason)
      rejected.set(only.id, reason)
      limit = limitMax
    }
  }
}

function withRejected({ records, batch }: Part, rejected: ReadonlyMap<string, string>): SourceBatch {
  // Of `batch` itself: its positions may be computed when they are asked for.
  const rejects = (index: number) => rejected.get(records[index]!.id) ?? batch.rejected?.(index)
  return Object.create(batch, { rejected: { value: rejects } })
}

/** Nobody may read the source's dead letters, so the record is kept in the bucket as well. */
export function keepLetter(
  environment: Environment,
  topology: Topology,
  at: StageTopology,
  shard: number,
  { id, data, place }: RawArrival,
  reason: string,
): Promise<void> {
  const source = at.stage.source!.source!.name
  const split = topology.splitOf(source, shard)
  const letter = { source, split, ...place, reason, raw: rawBytes(data) }
  return giveUp(environment, `source '${source}'`, `${source}/${split}/${id}`, letter, { split, ...place })
}
