import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import { openKeeper, stateBudget } from './memory.ts'
import { openShardTask, type ShardTask } from './shard-task.ts'

/** The subtasks that an environment has in memory: a poller may bring any of a stage's to it. */
export interface Tasks {
  of(topology: Topology, at: StageTopology, shard: number): ShardTask
  /** After a batch of `used`. */
  settle(used: ShardTask): Promise<void>
}

export function openTasks(environment: Environment): Tasks {
  // In order of use.
  const tasks = new Map<number, ShardTask>()
  const keeper = openKeeper(environment, stateBudget())
  return {
    of(topology, at, shard) {
      const task = tasks.get(shard) ?? openShardTask(environment, topology, at, shard)
      tasks.delete(shard)
      tasks.set(shard, task)
      return task
    },
    settle: used => keeper.settle([...tasks.values()], used),
  }
}
