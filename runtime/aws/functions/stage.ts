import { MillraceError } from '../../errors.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import { parseShard } from '../position.ts'
import { deliverFrames } from './deliver-frames.ts'
import { deliverRecords } from './deliver-records.ts'
import { type Environment, ownStage } from './environment.ts'
import {
  type BatchResponse,
  type Delivery,
  failuresAfter,
  failuresOnError,
  type InvocationContext,
  type KinesisEvent,
  readDelivery,
} from './event.ts'
import { openKeeper, stateBudget } from './memory.ts'
import { openShardTask, type ShardTask } from './shard-task.ts'

/**
 * The function of a stage: batches of its own stream, or, for a source stage, of the user's. What may succeed later is reported as
 * a partial failure, from the first record that no commit covers; what would fail again ends the invocation with its error.
 */
export function stageHandler(
  environment: Environment,
): (event: KinesisEvent, context: InvocationContext) => Promise<BatchResponse> {
  // In order of use: a poller may bring any shard to any environment.
  const tasks = new Map<number, ShardTask>()
  const keeper = openKeeper(environment, stateBudget())
  return async (event, context) => {
    environment.begin(context)
    const delivery = readDelivery(event)
    if (delivery === undefined) return { batchItemFailures: [] }
    const { topology } = await environment.run()
    const at = ownStage(environment, topology)
    const shard = shardOf(topology, at, delivery)
    const task = tasks.get(shard) ?? openShardTask(environment, topology, at, shard)
    tasks.delete(shard)
    tasks.set(shard, task)
    try {
      const covered =
        at.stage.source === undefined
          ? await deliverFrames(environment, task, delivery.records)
          : await deliverRecords(environment, topology, at, task, delivery.records)
      await keeper.settle([...tasks.values()], task)
      return failuresAfter(covered, delivery)
    } catch (error) {
      if (!mayPass(error)) throw error
      environment.log('warn', (error as Error).message, { error: (error as Error).name, shard: delivery.shardId })
      return failuresOnError(task.covered, delivery)
    }
  }
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

function mayPass(error: unknown): boolean {
  return error instanceof MillraceError && error.retryable
}
