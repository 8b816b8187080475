import type { StageTopology, Topology } from '../../stage/topology.ts'
import { firstLeft } from './arrivals.ts'
import { deliverRecords } from './deliver-records.ts'
import type { Environment } from './environment.ts'
import { type BatchResponse, type Delivery, mayPass } from './event.ts'
import { kinesisArrivals } from './kinesis-arrivals.ts'
import type { Tasks } from './tasks.ts'

/** A batch of a source's own stream: of one of the shards that the run began with, or of one that came of them. */
export async function deliverShardOfSource(
  environment: Environment,
  tasks: Tasks,
  topology: Topology,
  at: StageTopology,
  delivery: Delivery,
): Promise<BatchResponse> {
  const { shardId } = delivery
  const shards = tasks.shardsOf(topology, at)
  const subtask = await shards.ownerOf(shardId)
  const task = tasks.of(topology, at, subtask)
  const arrivals = kinesisArrivals(delivery, subtask, shards)
  try {
    await deliverRecords(environment, topology, at, task, arrivals)
    await tasks.settle(task)
    return { batchItemFailures: [] }
  } catch (error) {
    if (!mayPass(error)) throw error
    environment.log('warn', (error as Error).message, { error: (error as Error).name, shard: shardId })
    const { sequenceNumber } = firstLeft(arrivals, task.source).place
    return { batchItemFailures: [{ itemIdentifier: String(sequenceNumber) }] }
  }
}
