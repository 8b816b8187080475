import type { SourceBatch, SourcePosition } from '../../connectors/source.ts'
import { MillraceError } from '../../errors.ts'
import { DeadlineError } from '../../protocol/errors.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { ObjectRef } from '../objects.ts'
import { deliverParts, keepLetter, type Part } from './deliver-parts.ts'
import { type Environment, ownStage } from './environment.ts'
import { type BatchResponse, mayPass } from './event.ts'
import { NotificationError, type QueueEvent, type QueueMessage, readNotification } from './object-event.ts'
import { type ObjectList, openObjectList, subtaskOfObject } from './object-list.ts'
import { type ObjectReader, type ObjectRecords, openObjectReader, positionOf } from './object-reader.ts'
import { giveUp } from './poison.ts'
import type { ShardTask } from './shard-task.ts'
import { objectSplit } from './splits.ts'
import type { Tasks } from './tasks.ts'

/** No part is begun that may not be through in time: at least this share of the invocation is left for it, or as long as two of the slowest took. So what was read ahead stays good. */
const LAST_SHARE = 0.1
const RECORDS = 10_000

interface Announced {
  readonly message: QueueMessage
  readonly object: ObjectRef
}

/** One subtask's list, and how far it is read here. */
interface Reading {
  readonly list: ObjectList
  reader: ObjectReader
}

/**
 * Messages of a queue, each of which announces an object. It is put into the list of its subtask, which is then read up to it, whatever else is in front of it; and only a message whose object is committed
 * as read is through. Any other comes again after its visibility time-out, so that an object takes as many invocations as it needs, and whoever dies is followed by another.
 */
export function openObjectDelivery(environment: Environment, tasks: Tasks): (event: QueueEvent) => Promise<BatchResponse> {
  const readings = new Map<number, Reading>()

  function readingOf({ shard, subtask }: ShardTask): Reading {
    const found = readings.get(shard)
    if (found !== undefined) return found
    const list = openObjectList(environment.ports.log, `${subtask.log}/objects`)
    const reading = { list, reader: openObjectReader(list, environment.objects) }
    readings.set(shard, reading)
    return reading
  }

  async function deliver(topology: Topology, at: StageTopology, shard: number, all: readonly Announced[]): Promise<Announced[]> {
    const task = tasks.of(topology, at, shard)
    const { list, reader } = readingOf(task)
    try {
      const slots = await list.append(all.map(({ object }) => object))
      const readUpTo = await readObjects(environment, topology, at, task, reader, Math.max(...slots))
      await tasks.settle(task)
      return all.filter((_, i) => slots[i]! >= readUpTo)
    } catch (error) {
      // What failed may go on in a later invocation, with this reader in its hands.
      reader.close()
      readings.delete(shard)
      throw error
    }
  }

  return async ({ Records: messages }) => {
    if (messages.length === 0) return { batchItemFailures: [] }
    const { topology } = await environment.run()
    const at = ownStage(environment, topology)
    checkSplits(topology, at)
    const failed = new Set<QueueMessage>()
    let error: unknown
    for (const [shard, all] of bySubtask(await announced(environment, at, messages), at.parallelism)) {
      let left: readonly Announced[] = all
      try {
        if (!(error instanceof DeadlineError)) left = await deliver(topology, at, shard, all)
      } catch (thrown) {
        const { message, name } = thrown as Error
        environment.log('warn', message, { error: name, split: objectSplit(shard) })
        // What would fail again ends the invocation, so that somebody hears of it.
        if (error === undefined || (mayPass(error) && !mayPass(thrown))) error = thrown
      }
      for (const { message } of left) failed.add(message)
    }
    if (error !== undefined && !mayPass(error)) throw error
    return { batchItemFailures: [...failed].map(({ messageId }) => ({ itemIdentifier: messageId })) }
  }
}

/** Reads on to the end of slot `lastSlot`, unless time is short. Gives the first slot that is not committed as read. */
async function readObjects(
  environment: Environment,
  topology: Topology,
  at: StageTopology,
  task: ShardTask,
  reader: ObjectReader,
  lastSlot: number,
): Promise<number> {
  const { clock } = environment.ports
  let committed = positionOf(undefined)
  let begunAt: number | undefined
  let slowestMs = 0
  await deliverParts(environment, topology, at, task, RECORDS, async (source, watermark, limit) => {
    committed = positionOf(source)
    const now = clock.now()
    if (begunAt !== undefined) slowestMs = Math.max(slowestMs, now - begunAt)
    const neededMs = Math.max(environment.budgetMs * LAST_SHARE, 2 * slowestMs)
    const timeIsShort = begunAt !== undefined && environment.deadline - now < neededMs
    begunAt = now
    if (committed.slot > lastSlot || timeIsShort) return partOf({ records: [], next: committed }, source, watermark)
    const found = await reader.read(committed, lastSlot, limit)
    for (const record of found.records)
      if (record.fault !== undefined) await keepLetter(environment, topology, at, task.shard, record, record.fault)
    return partOf(found, source, watermark)
  })
  return committed.slot
}

function partOf({ records, next }: ObjectRecords, source: SourcePosition | undefined, watermark: number): Part {
  const from = positionOf(source)
  const isFurther = next.slot !== from.slot || next.offset !== from.offset
  const batch: SourceBatch = {
    records: records.map(({ data }) => data),
    after: index => ({ ...records[index]!.after }),
    next: { ...next },
    done: false,
    rejected: index => records[index]!.fault,
    place: index => records[index]!.place,
    // Objects without a record are committed as read, too.
    ...(records.length === 0 && isFurther && { watermark }),
  }
  return { records, batch }
}

/** A message that announces nothing would come again until it is too old: it is kept in the bucket, and is through. */
async function announced(environment: Environment, at: StageTopology, messages: readonly QueueMessage[]): Promise<Announced[]> {
  const source = at.stage.source!.source!.name
  const good: Announced[] = []
  for (const message of messages) {
    const { messageId, body } = message
    try {
      good.push({ message, object: readNotification(body) })
    } catch (error) {
      if (!(error instanceof NotificationError)) throw error
      const letter = { source, messageId, reason: `no notification of a new object: ${error.message}`, body }
      await giveUp(environment, `source '${source}', a message of its queue,`, `${source}/messages/${messageId}`, letter, {
        messageId,
      })
    }
  }
  return good
}

function bySubtask(all: readonly Announced[], subtasks: number): [number, Announced[]][] {
  const groups = Map.groupBy(all, ({ object }) => subtaskOfObject(object, subtasks))
  return [...groups].sort(([a], [b]) => a - b)
}

/** The run may be of a time when the source read something else. */
function checkSplits(topology: Topology, { stage }: StageTopology): void {
  const name = stage.source?.source?.name
  const splits = name === undefined ? [] : topology.splits[name]!
  if (splits[0] === objectSplit(0)) return
  throw new MillraceError(
    `stage '${stage.id}' got objects of S3, but it reads ${splits.join(', ') || 'a stream'}: its run began with that. ` +
      'Deploy a stack of its own for the objects; nothing of the batch was taken',
  )
}
