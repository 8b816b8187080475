import type { SourceBatch, SourcePosition } from '../../connectors/source.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Arrival, Arrivals, Reading } from './arrivals.ts'
import type { Environment } from './environment.ts'
import { giveUp, isPoison, openTries } from './poison.ts'
import type { ShardTask } from './shard-task.ts'

/**
 * What has come of the user's own records, until all of it is committed.
 *
 * Where user code throws, smaller and smaller parts are taken until the record is found that fails alone, each time: everything before it is committed
 * by then, and it is committed as skipped, together with its dead letter.
 */
export async function deliverRecords(
  environment: Environment,
  topology: Topology,
  at: StageTopology,
  task: ShardTask,
  arrivals: Arrivals,
): Promise<void> {
  const { records } = arrivals
  const last = records.at(-1)!
  const rejected = new Map<string, string>()
  const tries = openTries(environment.ports.clock)
  let limit = records.length
  let firstRead = true
  for (;;) {
    let taken: readonly Arrival[] = []
    const read = async (committed: SourcePosition | undefined, watermark: number) => {
      const reading = await readFrom(arrivals, committed, watermark)
      const { position } = reading
      const left = position === undefined ? records : records.filter(r => !reading.holds(position, r))
      if (firstRead) environment.recorder.count('Replays', records.length - left.length)
      firstRead = false
      taken = left.slice(0, limit)
      return batchOf(reading, taken, rejected)
    }
    try {
      if (!(await task.run(subtask => subtask.deliverSource(read)))) return
      if (taken.at(-1) === last) return
      limit = Math.min(records.length, limit * 2)
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
      await keep(environment, topology, at, task.shard, only, reason)
      rejected.set(only.id, reason)
      limit = records.length
    }
  }
}

function readFrom(arrivals: Arrivals, position: SourcePosition | undefined, watermark: number): Reading | Promise<Reading> {
  const { holds, after } = arrivals
  return arrivals.readFrom?.(position, watermark) ?? { holds, after, position, part: undefined }
}

function batchOf(reading: Reading, records: readonly Arrival[], rejected: ReadonlyMap<string, string>): SourceBatch {
  const { position, part } = reading
  const after = (index: number) => reading.after(position, records[index]!)
  return {
    records: records.map(r => r.data),
    after,
    // Only then is the watermark of its part known.
    get next() {
      return records.length === 0 ? (position ?? {}) : after(records.length - 1)
    },
    done: false,
    rejected: index => rejected.get(records[index]!.id),
    place: index => records[index]!.place,
    part,
  }
}

/** Nobody may read the source's dead letters, so the record is kept in the bucket as well. */
function keep(
  environment: Environment,
  topology: Topology,
  at: StageTopology,
  shard: number,
  { id, data, place }: Arrival,
  reason: string,
): Promise<void> {
  const source = at.stage.source!.source!.name
  const split = topology.splitOf(source, shard)
  const letter = { source, split, ...place, reason, raw: Buffer.from(data).toString('base64') }
  return giveUp(environment, `source '${source}'`, `${source}/${split}/${id}`, letter, { split, ...place })
}
