import { MillraceError } from '../../errors.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import { parseShard } from '../position.ts'
import type { ChangeEvent } from './change-event.ts'
import { deliverChanges } from './deliver-changes.ts'
import { deliverFrames } from './deliver-frames.ts'
import { deliverPartitions } from './deliver-partitions.ts'
import { deliverRecords } from './deliver-records.ts'
import { type Environment, ownStage } from './environment.ts'
import {
  type BatchResponse,
  type Delivery,
  failuresAfter,
  failuresOnError,
  type InvocationContext,
  type KinesisEvent,
  mayPass,
  readDelivery,
} from './event.ts'
import type { KafkaEvent } from './kafka-event.ts'
import { kinesisArrivals, kinesisPosition } from './kinesis-arrivals.ts'
import { openTasks, type Tasks } from './tasks.ts'

/** The function of a stage: batches of its own stream, or, for a source stage, of what the user gives it to read. */
export function stageHandler(
  environment: Environment,
): (event: KinesisEvent | KafkaEvent | ChangeEvent, context: InvocationContext) => Promise<BatchResponse> {
  const tasks = openTasks(environment)
  return async (event, context) => {
    environment.begin(context)
    try {
      return await deliver(environment, tasks, event)
    } finally {
      environment.recorder.publish()
    }
  }
}

function deliver(environment: Environment, tasks: Tasks, event: KinesisEvent | KafkaEvent | ChangeEvent): Promise<BatchResponse> {
  if ('records' in event) return deliverPartitions(environment, tasks, event)
  if ('window' in event || isChange(event.Records[0])) return deliverChanges(environment, tasks, event as ChangeEvent)
  return deliverShard(environment, tasks, event)
}

/**
 * A batch of Kinesis. What may succeed later is reported as a partial failure, from the first record that no commit covers; what would fail again ends the invocation
 * with its error.
 */
async function deliverShard(environment: Environment, tasks: Tasks, event: KinesisEvent): Promise<BatchResponse> {
  const delivery = readDelivery(event)
  if (delivery === undefined) return { batchItemFailures: [] }
  const { records } = delivery
  const { topology } = await environment.run()
  const at = ownStage(environment, topology)
  const task = tasks.of(topology, at, shardOf(topology, at, delivery))
  const isSource = at.stage.source !== undefined
  try {
    let covered = records.at(-1)!.seq
    if (isSource) await deliverRecords(environment, topology, at, task, kinesisArrivals(records))
    else covered = await deliverFrames(environment, task, records)
    await tasks.settle(task)
    return failuresAfter(covered, delivery)
  } catch (error) {
    if (!mayPass(error)) throw error
    environment.log('warn', (error as Error).message, { error: (error as Error).name, shard: delivery.shardId })
    return failuresOnError(isSource ? kinesisPosition(task.source) : task.covered, delivery)
  }
}

function isChange(record: object | undefined): boolean {
  return record !== undefined && 'dynamodb' in record
}

/** Subtask i of a stage reads shard i of its stream; of a source, the split that was its i-th when the run began. */
function shardOf(topology: Topology, { stage, parallelism }: StageTopology, { shardId }: Delivery): number {
  const name = stage.source?.source?.name
  const shard = name === undefined ? parseShard(shardId) : topology.splits[name]!.indexOf(shardId)
  if (shard >= 0 && shard < parallelism) return shard
  throw new MillraceError(
    `stage '${stage.id}' got a batch of ${shardId}, which it has no subtask for: its stream was split or merged after this run had begun. ` +
      'Take a savepoint and start from it in a stack whose stream is left as it is; nothing of the batch was taken',
  )
}
