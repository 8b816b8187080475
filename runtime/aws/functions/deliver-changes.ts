import { MillraceError } from '../../errors.ts'
import { firstLeft } from './arrivals.ts'
import { type ChangeEvent, changeArrivals } from './change-event.ts'
import { deliverRecords } from './deliver-records.ts'
import { type Environment, ownStage } from './environment.ts'
import { type BatchResponse, mayPass } from './event.ts'
import { subtaskOfShard } from './shard-hash.ts'
import type { Tasks } from './tasks.ts'

/** Lambda keeps a state for its windows, and takes an answer without one for a failure. */
const THROUGH: BatchResponse = { batchItemFailures: [], state: {} }

/**
 * A batch of one shard of a DynamoDB stream. Its records don't say which shard they are of, and their numbers are in order within one only: so the mapping has a tumbling
 * window, whose events name it. Nothing else is made of these windows; one ends with a call that has no records.
 */
export async function deliverChanges(environment: Environment, tasks: Tasks, event: ChangeEvent): Promise<BatchResponse> {
  const { Records: records, shardId } = event
  if (records.length === 0) return THROUGH
  if (shardId === undefined)
    throw new MillraceError(
      'changes of a DynamoDB table came without the id of their shard: the event source mapping has to have a tumbling window. Deploy the stack again (LocalStack has no such windows)',
    )
  const { topology } = await environment.run()
  const at = ownStage(environment, topology)
  const task = tasks.of(topology, at, subtaskOfShard(shardId, at.parallelism))
  const arrivals = changeArrivals(shardId, records)
  try {
    await deliverRecords(environment, topology, at, task, arrivals)
    await tasks.settle(task)
    return THROUGH
  } catch (error) {
    if (!mayPass(error)) throw error
    environment.log('warn', (error as Error).message, { error: (error as Error).name, shard: shardId })
    const { sequenceNumber } = firstLeft(arrivals, task.source).place
    return { batchItemFailures: [{ itemIdentifier: String(sequenceNumber) }], state: {} }
  }
}
