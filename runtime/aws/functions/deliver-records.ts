import type { SourceBatch, SourcePosition } from '../../connectors/source.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Arrival, Arrivals, Reading } from './arrivals.ts'
import { deliverParts } from './deliver-parts.ts'
import type { Environment } from './environment.ts'
import type { ShardTask } from './shard-task.ts'

/** What has come of the user's own records, until all of it is committed. */
export async function deliverRecords(
  environment: Environment,
  topology: Topology,
  at: StageTopology,
  task: ShardTask,
  arrivals: Arrivals,
): Promise<void> {
  const { records } = arrivals
  const last = records.at(-1)!
  let firstRead = true
  await deliverParts(environment, topology, at, task, records.length, async (committed, watermark, limit) => {
    const reading = await readFrom(arrivals, committed, watermark)
    const { position } = reading
    const left = position === undefined ? records : records.filter(r => !reading.holds(position, r))
    if (firstRead) environment.recorder.count('Replays', records.length - left.length)
    firstRead = false
    const taken = left.slice(0, limit)
    return { records: taken, batch: batchOf(reading, taken), isLast: taken.at(-1) === last }
  })
}

function readFrom(arrivals: Arrivals, position: SourcePosition | undefined, watermark: number): Reading | Promise<Reading> {
  const { holds, after } = arrivals
  return arrivals.readFrom?.(position, watermark) ?? { holds, after, position, part: undefined }
}

function batchOf(reading: Reading, records: readonly Arrival[]): SourceBatch {
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
    place: index => records[index]!.place,
    part,
  }
}
