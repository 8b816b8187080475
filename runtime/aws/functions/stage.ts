import { MillraceError } from '../../errors.ts'
import { readHeader } from '../../protocol/frame.ts'
import type { Shard } from '../../stage/layout.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import { parseShard } from '../position.ts'
import type { ChangeEvent } from './change-event.ts'
import { deliverFrames } from './deliver-frames.ts'
import { deliverShardOfSource } from './deliver-shard.ts'
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
import type { QueueEvent } from './object-event.ts'
import { UnknownShardError } from './source-shards.ts'
import { openTasks, type Tasks } from './tasks.ts'

type StreamEvent = KinesisEvent | KafkaEvent | ChangeEvent
type StageEvent = StreamEvent | QueueEvent

/**
 * The function of a stage: batches of its own stream, or, for a source stage, of what the user gives it to read.
 *
 * A warm environment hears that its run has been replaced by what fails then, as the run's logs take no more commits, or by frames of the new one.
 */
export function stageHandler(
  environment: Environment,
): (event: StageEvent, context: InvocationContext) => Promise<BatchResponse> {
  let handle = openHandler(environment)
  return async (event, context) => {
    environment.begin(context)
    try {
      return await handle(event)
    } catch (error) {
      // Whatever keeps that from being known, the first error is the one to tell.
      if (!(await environment.renew().catch(() => false))) throw error
      handle = openHandler(environment)
      return await handle(event)
    } finally {
      environment.recorder.publish()
    }
  }
}

function openHandler(environment: Environment): (event: StageEvent) => Promise<BatchResponse> {
  const tasks = openTasks(environment)
  // Most pipelines read no objects.
  const open = async () => (await import('./deliver-objects.ts')).openObjectDelivery(environment, tasks)
  let objects: ReturnType<typeof open> | undefined
  return async event => {
    if (!isQueue(event)) return deliver(environment, tasks, event)
    objects ??= open()
    return (await objects)(event)
  }
}

async function deliver(environment: Environment, tasks: Tasks, event: StreamEvent): Promise<BatchResponse> {
  // What a function does not read it does not load.
  if ('records' in event) return (await import('./deliver-partitions.ts')).deliverPartitions(environment, tasks, event)
  if ('window' in event || isChange(event.Records[0]))
    return (await import('./deliver-changes.ts')).deliverChanges(environment, tasks, event as ChangeEvent)
  return deliverShard(environment, tasks, event)
}

/**
 * A batch of Kinesis. What may succeed later is reported as a partial failure, from the first record that no commit covers; what would fail again ends the invocation
 * with its error.
 */
async function deliverShard(environment: Environment, tasks: Tasks, event: KinesisEvent): Promise<BatchResponse> {
  const delivery = readDelivery(event)
  if (delivery === undefined) return { batchItemFailures: [] }
  const run = await environment.run()
  const { topology } = run
  const at = ownStage(environment, topology)
  if (at.stage.source !== undefined) return deliverShardOfSource(environment, tasks, run, at, delivery)
  if (delivery.records.some(({ data }) => isForeign(data, topology.run)) && (await environment.isReplaced()))
    throw new MillraceError(`another run has taken the place of run ${topology.run}`)
  const shard = await shardOf(environment, topology, at, delivery)
  // It was closed before anybody sent to it (F1).
  if (shard.children?.length === 0) return { batchItemFailures: [] }
  const task = tasks.of(topology, at, shard.shard)
  try {
    if (shard.parents.length > 0 && !tasks.ready.has(shard.shard)) {
      const { takeOverFor } = await import('./take-over.ts')
      await takeOverFor(delivery.records[0]!.arrivedAt, environment, tasks, topology, at, shard.shard)
      tasks.ready.add(shard.shard)
    }
    const covered = await deliverFrames(environment, task, delivery.records)
    await tasks.settle(task)
    return failuresAfter(covered, delivery)
  } catch (error) {
    if (!mayPass(error)) throw error
    environment.log('warn', (error as Error).message, { error: (error as Error).name, shard: delivery.shardId })
    return failuresOnError(task.covered, delivery)
  }
}

/** A frame of another run: of one before, whose frames are dropped, or of one that this environment has not heard of. */
function isForeign(frame: Uint8Array, run: string): boolean {
  try {
    return readHeader(frame).run !== run
  } catch {
    // What it is instead, the delivery tells.
    return false
  }
}

function isQueue(event: StageEvent): event is QueueEvent {
  return 'Records' in event && event.Records[0] !== undefined && 'messageId' in event.Records[0]
}

function isChange(record: object | undefined): boolean {
  return record !== undefined && 'dynamodb' in record
}

/** Subtask i of a stage reads shard i of its stream. */
async function shardOf(
  environment: Environment,
  topology: Topology,
  { stage }: StageTopology,
  { shardId }: Delivery,
): Promise<Shard> {
  const number = parseShard(shardId)
  if (topology.layout(stage.index)[number] === undefined)
    await (await import('./learn-layouts.ts')).learnLayouts(environment, topology, [stage.index])
  const shard = topology.layout(stage.index)[number]
  if (shard !== undefined) return shard
  throw new UnknownShardError(
    `a batch came of ${shardId}, which the stream in front of stage '${stage.id}' does not list, or not in one piece: it comes again`,
  )
}
