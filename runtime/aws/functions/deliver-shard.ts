import type { Subtask } from '../../stage/subtask.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { firstLeft } from './arrivals.ts'
import { deliverRecords } from './deliver-records.ts'
import type { Environment, OpenRun } from './environment.ts'
import { type BatchResponse, type Delivery, mayPass } from './event.ts'
import { isJoined, NotJoinedError } from './joined.ts'
import { kinesisArrivals } from './kinesis-arrivals.ts'
import type { Tasks } from './tasks.ts'

/** A batch of a source's own stream: of one of the shards that the run began with, or of one that came of them. */
export async function deliverShardOfSource(
  environment: Environment,
  tasks: Tasks,
  run: OpenRun,
  at: StageTopology,
  delivery: Delivery,
): Promise<BatchResponse> {
  const { shardId } = delivery
  const { topology } = run
  const shards = tasks.shardsOf(topology, at)
  const subtask = await shards.ownerOf(shardId)
  const task = tasks.of(topology, at, subtask)
  const arrivals = kinesisArrivals(delivery, subtask, shards)
  try {
    await checkJoined(environment, tasks, run, task.subtask)
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

async function checkJoined(
  { ports }: Environment,
  { joined }: Tasks,
  run: OpenRun,
  { at, shard, log }: Pick<Subtask, 'at' | 'shard' | 'log'>,
): Promise<void> {
  if (joined.has(shard)) return
  if (!(await isJoined(ports.log, run, at.stage.source!.source!.name, shard)))
    throw new NotJoinedError(
      `${log} has not read on from the checkpoint that its run began with, and takes nothing before that: give the command that started it again`,
    )
  joined.add(shard)
}
