import type { SourceBatch, SourcePosition } from '../../connectors/source.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Arrival, Arrivals } from './arrivals.ts'
import type { Environment } from './environment.ts'
import { isPoison, POISON_TRIES, poisonWaitMs } from './poison.ts'
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
  const { clock } = environment.ports
  const { records } = arrivals
  const last = records.at(-1)!
  const rejected = new Map<string, string>()
  let limit = records.length
  let failures = 0
  for (;;) {
    let taken: readonly Arrival[] = []
    const read = (position: SourcePosition | undefined) => {
      const left = position === undefined ? records : records.filter(r => !arrivals.holds(position, r))
      taken = left.slice(0, limit)
      return batchOf(arrivals, taken, position, rejected)
    }
    try {
      if (!(await task.run(subtask => subtask.deliverSource(read)))) return
      if (taken.at(-1) === last) return
      failures = 0
      limit = Math.min(records.length, limit * 2)
    } catch (error) {
      if (!isPoison(error)) throw error
      if (taken.length > 1) limit = taken.length >> 1
      else if (++failures < POISON_TRIES) await clock.sleep(poisonWaitMs(failures))
      else {
        const reason = `${failures} tries failed: ${error.message}`
        await keep(environment, topology, at, task.shard, taken[0]!, reason)
        rejected.set(taken[0]!.id, reason)
        limit = records.length
        failures = 0
      }
    }
  }
}

function batchOf(
  arrivals: Arrivals,
  records: readonly Arrival[],
  position: SourcePosition | undefined,
  rejected: ReadonlyMap<string, string>,
): SourceBatch {
  const after = (index: number) => arrivals.after(position, records[index]!)
  return {
    records: records.map(r => r.data),
    after,
    next: records.length === 0 ? (position ?? {}) : after(records.length - 1),
    done: false,
    rejected: index => rejected.get(records[index]!.id),
  }
}

/**
 * Nobody may read the source's dead letters, so the record is kept in the bucket as well, before it is skipped: under its position, so that it is there
 * once however often that is tried.
 */
async function keep(
  { ports, log }: Environment,
  topology: Topology,
  at: StageTopology,
  shard: number,
  { id, data, place }: Arrival,
  reason: string,
): Promise<void> {
  const source = at.stage.source!.source!.name
  const split = topology.splitOf(source, shard)
  const key = `dead-letters/${source}/${split}/${id}.json`
  const letter = { source, split, ...place, reason, raw: Buffer.from(data).toString('base64') }
  await ports.blobs.putIfAbsent(key, new TextEncoder().encode(`${JSON.stringify(letter)}\n`))
  log('error', `a record of source '${source}' is given up and goes to the dead letters: ${reason}`, { split, ...place, key })
}
