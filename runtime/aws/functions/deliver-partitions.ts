import { MillraceError } from '../../errors.ts'
import { DeadlineError } from '../../protocol/errors.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import { deliverRecords } from './deliver-records.ts'
import { type Environment, ownStage } from './environment.ts'
import type { BatchResponse } from './event.ts'
import { type KafkaEvent, type PartitionDelivery, readKafkaEvent } from './kafka-event.ts'
import type { Tasks } from './tasks.ts'

/**
 * A batch of Kafka, one partition after the other. Lambda takes partial failures of Kafka in its provisioned mode only, so any failure ends the invocation with
 * its error and all of the batch comes again: what is committed of it is known by its offset then. One partition that fails does not hold the others up.
 */
export async function deliverPartitions(environment: Environment, tasks: Tasks, event: KafkaEvent): Promise<BatchResponse> {
  const deliveries = readKafkaEvent(event)
  if (deliveries.length === 0) return { batchItemFailures: [] }
  const { topology } = await environment.run()
  const at = ownStage(environment, topology)
  // All of them first: nothing is taken of a batch that has a partition too many.
  const shards = deliveries.map(delivery => subtaskOf(topology, at, delivery))
  let failed: Error | undefined
  for (const [i, delivery] of deliveries.entries()) {
    const task = tasks.of(topology, at, shards[i]!)
    try {
      await deliverRecords(environment, topology, at, task, delivery)
      await tasks.settle(task)
    } catch (error) {
      environment.log('warn', (error as Error).message, { error: (error as Error).name, partition: delivery.split })
      failed ??= error as Error
      if (error instanceof DeadlineError) break
    }
  }
  if (failed !== undefined) throw failed
  return { batchItemFailures: [] }
}

function subtaskOf(topology: Topology, { stage }: StageTopology, { split }: PartitionDelivery): number {
  const name = stage.source?.source?.name
  const splits = name === undefined ? [] : topology.splits[name]!
  const subtask = splits.indexOf(split)
  if (subtask >= 0) return subtask
  throw new MillraceError(
    `stage '${stage.id}' got records of partition ${split}, which it has no subtask for: it reads ${splits.join(', ') || 'no topic'}. ` +
      'The topic has more partitions than the construct was told, or got more after this run had begun: ' +
      'deploy a stack of its own with as many `partitions` as there are; nothing of the batch was taken',
  )
}
