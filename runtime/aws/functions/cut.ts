import { followLayouts } from '../../checkpoint/layouts.ts'
import { lastStop } from '../../checkpoint/stops.ts'
import { atOnce } from '../../connectors/at-once.ts'
import type { Subtask } from '../../stage/subtask.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { type Environment, type OpenRun, ownStage } from './environment.ts'
import type { InvocationContext } from './event.ts'
import { isEnded, readShardMap } from './shard-map.ts'
import { openShardTask, type ShardTask } from './shard-task.ts'
import { goingSince, isSilent } from './silence.ts'
import { openSourceShards } from './source-shards.ts'
import { tendShards } from './tend-shards.ts'

export interface CutEvent {
  /** Side by side: as many as the controller says. */
  readonly shards: readonly number[]
  readonly checkpoint: number
}

/** Whether each of the shards was cut; false: it had that cut, or a later one, already. */
export interface CutAnswer {
  readonly cut: readonly boolean[]
}

/** Cuts source subtasks: the barrier behind what they have committed (protocol.md, D1). */
export function cutHandler(environment: Environment): (event: CutEvent, context: InvocationContext) => Promise<CutAnswer> {
  return async ({ shards, checkpoint }, context) => {
    environment.begin(context)
    await environment.renew()
    const run = await environment.run()
    await followLayouts(environment.ports.log, run.topology)
    const at = ownStage(environment, run.topology)
    const cut = new Map<number, boolean>()
    await atOnce(shards.length, shards, async shard => cut.set(shard, await cutShard(environment, run, at, shard, checkpoint)))
    return { cut: shards.map(shard => cut.get(shard)!) }
  }
}

async function cutShard(
  environment: Environment,
  run: OpenRun,
  at: StageTopology,
  shard: number,
  checkpoint: number,
): Promise<boolean> {
  // Cold each time: batches were committed elsewhere since the last one, and what is old loses its race.
  const task = openShardTask(environment, run.topology, at, shard)
  try {
    const isOver = await tend(environment, run, at, task, checkpoint)
    const isIdle = async (subtask: Subtask) => (isOver && (await hasEnded(subtask))) || hasFallenSilent(environment, run, subtask)
    return await task.run(async subtask => subtask.cutSource(checkpoint, await isIdle(subtask)))
  } finally {
    await task.close()
  }
}

/** Whether a subtask's shards have all been read to their ends: then it is to hold the others' watermarks back no longer. The checkpoint is the heartbeat by which that is noticed. */
async function tend(
  environment: Environment,
  { topology }: OpenRun,
  at: StageTopology,
  task: ShardTask,
  checkpoint: number,
): Promise<boolean> {
  const { name } = at.stage.source!.source!
  if (environment.settings.sources[name]!.kind !== 'kinesis') return false
  return tendShards(environment, topology, task, openSourceShards(environment, topology, at), checkpoint)
}

/** Still: a shard may have come to it since. */
async function hasEnded(subtask: Subtask): Promise<boolean> {
  const { source, watermark } = (await subtask.ready()).head.fields
  return isEnded(readShardMap(source, '', watermark, 0))
}

async function hasFallenSilent({ ports }: Environment, { meta }: OpenRun, subtask: Subtask): Promise<boolean> {
  const { idleAfter } = subtask.at.stage.source!.source!.watermark
  const { head } = await subtask.ready()
  return isSilent(head, idleAfter, goingSince(meta, await lastStop(ports.log, meta.run)), ports.clock.now())
}
