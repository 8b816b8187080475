import type { SourceBatch, SourcePosition } from '../../connectors/source.ts'
import { UserCodeError } from '../../operators/user-code.ts'
import type { StreamRecord } from '../../ports.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import { KeyChangedError } from '../../stage/wiring.ts'
import { TooLargeError } from '../errors.ts'
import type { Environment } from './environment.ts'
import type { ShardTask } from './shard-task.ts'

/** How often a record that fails alone is tried, before it goes to the dead letters. */
const POISON_TRIES = 3
const POISON_WAIT_MS = 100

/**
 * A batch of the user's stream: its own JSON records. The position is the sequence number, in 56 digits. Gives the position that is covered.
 *
 * Where user code throws, smaller and smaller parts are taken until the record is found that fails alone, each time: everything before it is committed
 * by then, and it is committed as skipped, together with its dead letter.
 */
export async function deliverRecords(
  environment: Environment,
  topology: Topology,
  at: StageTopology,
  task: ShardTask,
  records: readonly StreamRecord[],
): Promise<string> {
  const { clock } = environment.ports
  const last = records.at(-1)!.seq
  const rejected = new Map<string, string>()
  let limit = records.length
  let failures = 0
  for (;;) {
    let taken: readonly StreamRecord[] = []
    const read = (position: SourcePosition | undefined) => {
      taken = behind(records, position).slice(0, limit)
      return batchOf(taken, position, rejected)
    }
    try {
      if (!(await task.run(subtask => subtask.deliverSource(read)))) return last
      if (taken.at(-1)!.seq === last) return last
      failures = 0
      limit = Math.min(records.length, limit * 2)
    } catch (error) {
      if (!isPoison(error)) throw error
      if (taken.length > 1) limit = taken.length >> 1
      else if (++failures < POISON_TRIES) await clock.sleep(POISON_WAIT_MS * 2 ** failures)
      else {
        const reason = `${failures} tries failed: ${error.message}`
        await keep(environment, topology, at, task.shard, taken[0]!, reason)
        rejected.set(taken[0]!.seq, reason)
        limit = records.length
        failures = 0
      }
    }
  }
}

/** The committed position of a split, from a commit item. */
function behind(records: readonly StreamRecord[], position: SourcePosition | undefined): readonly StreamRecord[] {
  if (position === undefined) return records
  const after = String(position.sequenceNumber)
  return records.filter(r => r.seq > after)
}

function batchOf(
  records: readonly StreamRecord[],
  position: SourcePosition | undefined,
  rejected: ReadonlyMap<string, string>,
): SourceBatch {
  const after = (index: number) => ({ sequenceNumber: records[index]!.seq })
  return {
    records: records.map(r => r.data),
    after,
    next: records.length === 0 ? (position ?? { sequenceNumber: '' }) : after(records.length - 1),
    done: false,
    rejected: index => rejected.get(records[index]!.seq),
  }
}

/** The record itself is at fault, not a service: the same would happen again. */
function isPoison(error: unknown): error is Error {
  return error instanceof UserCodeError || error instanceof KeyChangedError || error instanceof TooLargeError
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
  { seq, data }: StreamRecord,
  reason: string,
): Promise<void> {
  const source = at.stage.source!.source!.name
  const split = topology.splitOf(source, shard)
  const sequenceNumber = seq.replace(/^0+(?=\d)/, '')
  const key = `dead-letters/${source}/${split}/${seq}.json`
  const letter = { source, split, sequenceNumber, reason, raw: Buffer.from(data).toString('base64') }
  await ports.blobs.putIfAbsent(key, new TextEncoder().encode(`${JSON.stringify(letter)}\n`))
  log('error', `a record of source '${source}' is given up and goes to the dead letters: ${reason}`, {
    split,
    sequenceNumber,
    key,
  })
}
