import { DeadlineError } from '../../protocol/errors.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { deliverRecords } from './deliver-records.ts'
import { type Environment, type OpenRun, ownStage } from './environment.ts'

import type { InvocationContext } from './event.ts'
import type { OwnedShard } from './follow-shards.ts'
import { isJoined, tellJoined } from './joined.ts'
import { kinesisArrivals } from './kinesis-arrivals.ts'
import { listThrough, readNewest } from './newest-shard.ts'
import type { KinesisSetting } from './settings.ts'
import { takenOf } from './shard-map.ts'
import { UnknownShardError } from './source-shards.ts'
import { openTasks, type Tasks } from './tasks.ts'

/** Asked of a source stage's function by `millrace start`: subtask `join` is to read on from the checkpoint that its run began with. */
export interface JoinEvent {
  readonly join: number
}

export interface Joined {
  /** False: time was up, or the stream's list of shards was late; ask again. */
  readonly joined: boolean
}

const RECORDS_MAX = 10_000

/**
 * Reads a subtask's shards from where the checkpoint has them to where the stream is now. The mapping is not beyond that: it had not been switched on since the run before was fenced, or nothing that it brought
 * was taken. What it brings of this part again is known by the position.
 *
 * @throws PositionExpiredError when the stream does not keep what follows the position any more
 */
export function joinHandler(environment: Environment): (event: JoinEvent, context: InvocationContext) => Promise<Joined> {
  return async ({ join: subtask }, context) => {
    environment.begin(context)
    await environment.renew()
    const { ports } = environment
    const run = await environment.run()
    const at = ownStage(environment, run.topology)
    const { name } = at.stage.source!.source!
    if (await isJoined(ports.log, run, name, subtask)) return { joined: true }
    const tasks = openTasks(environment)
    try {
      await readOn(environment, run, at, tasks, subtask)
    } catch (error) {
      // A list that lacks what another had is late.
      if (error instanceof DeadlineError || error instanceof UnknownShardError) return { joined: false }
      throw error
    } finally {
      environment.recorder.publish()
      await tasks.close()
    }
    await tellJoined(ports.log, run.meta.run, name, subtask)
    return { joined: true }
  }
}

async function readOn(
  environment: Environment,
  { topology }: OpenRun,
  at: StageTopology,
  tasks: Tasks,
  subtask: number,
): Promise<void> {
  const shards = tasks.shardsOf(topology, at)
  const { name } = at.stage.source!.source!
  const { stream } = environment.settings.sources[name] as KinesisSetting
  const { log, clock } = environment.ports
  const listed = await listThrough(shards.list, await readNewest(log, topology.run, name), clock)
  const through = new Set<string>()

  /** Parents first, also those that are another subtask's: of a key, what came first is taken first. */
  async function readShard({ id, parents, owner }: OwnedShard): Promise<void> {
    if (through.has(id)) return
    through.add(id)
    for (const shard of listed) if (parents.includes(shard.id)) await readShard(shard)
    const task = tasks.of(topology, at, owner)
    for (let isAll = false; !isAll; ) {
      const { head } = await task.run(s => s.ready())
      const taken = takenOf(head.fields.source, shards.splits[owner]!, id)
      if (taken === 'ended') return
      const found = await environment.sourceStreams.read(stream, id, taken, RECORDS_MAX)
      const { records } = found
      isAll = found.isAll
      if (records.length === 0) continue
      await deliverRecords(environment, topology, at, task, kinesisArrivals({ shardId: id, records }, owner, shards))
      await tasks.settle(task)
    }
  }

  for (const shard of listed) if (shard.owner === subtask) await readShard(shard)
}
