import { decisionOf } from '../../checkpoint/decision.ts'
import type { Subtask } from '../../stage/subtask.ts'
import { type Environment, type OpenRun, ownStage } from './environment.ts'
import type { InvocationContext } from './event.ts'
import { openShardTask } from './shard-task.ts'

export interface CutEvent {
  readonly shard: number
  readonly checkpoint: number
}

/** A source subtask's cut: the barrier behind what it has committed (protocol.md, D1). `cut: false`: it had that one, or a later one, already. */
export function cutHandler(environment: Environment): (event: CutEvent, context: InvocationContext) => Promise<{ cut: boolean }> {
  return async ({ shard, checkpoint }, context) => {
    environment.begin(context)
    const run = await environment.run()
    const at = ownStage(environment, run.topology)
    // Cold each time: batches were committed elsewhere since the last one, and what is old loses its race.
    const task = openShardTask(environment, run.topology, at, shard)
    try {
      await task.run(subtask => tellIdle(environment, run, subtask))
      return { cut: await task.run(subtask => subtask.cutSource(checkpoint)) }
    } finally {
      await task.close()
    }
  }
}

/**
 * A split that has been silent for its source's `idleAfter` no longer holds the others' watermarks back. The checkpoint is the heartbeat by which that is noticed:
 * nothing was committed since the last cut, which was so long ago.
 */
async function tellIdle({ ports }: Environment, { meta }: OpenRun, subtask: Subtask): Promise<void> {
  const { idleAfter } = subtask.at.stage.source!.source!.watermark
  if (idleAfter === undefined) return
  const { head } = await subtask.ready()
  const { alignment } = head.fields
  if (head.version !== (alignment?.version ?? 0)) return
  const silentSince =
    alignment === undefined ? meta.createdAt : (await decisionOf(ports.log, meta.run, alignment.checkpoint))?.startedAt
  if (silentSince !== undefined && ports.clock.now() - silentSince >= idleAfter) await subtask.tick(true)
}
