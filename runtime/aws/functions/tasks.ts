import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import { openKeeper, stateBudget } from './memory.ts'
import { openShardTask, type ShardTask } from './shard-task.ts'
import { openSourceShards, type SourceShards } from './source-shards.ts'

/** The subtasks that an environment has in memory: a poller may bring any of a stage's to it. */
export interface Tasks {
  of(topology: Topology, at: StageTopology, shard: number): ShardTask
  /** Of a source stage that reads a stream of Kinesis. */
  shardsOf(topology: Topology, at: StageTopology): SourceShards
  /** Subtasks of a source that take what their mapping brings (joined.ts). */
  readonly joined: Set<number>
  /** Shards that have taken over from others. */
  readonly ready: Set<number>
  /** After a batch of `used`. */
  settle(used: ShardTask): Promise<void>
  close(): Promise<void>
}

export function openTasks(environment: Environment): Tasks {
  // In order of use.
  const tasks = new Map<number, ShardTask>()
  const joined = new Set<number>()
  const ready = new Set<number>()
  let shards: SourceShards | undefined
  let run: string | undefined
  const keeper = openKeeper(environment, stateBudget())

  /** Another handler of this environment may have heard first that there is another run: what is here is of the one before then, whose logs take no more commits. */
  function follow(topology: Topology): void {
    if (run === topology.run) return
    run = topology.run
    tasks.clear()
    joined.clear()
    ready.clear()
    shards = undefined
  }

  return {
    joined,
    ready,
    of(topology, at, shard) {
      follow(topology)
      const task = tasks.get(shard) ?? openShardTask(environment, topology, at, shard)
      tasks.delete(shard)
      tasks.set(shard, task)
      return task
    },
    shardsOf(topology, at) {
      follow(topology)
      shards ??= openSourceShards(environment, topology, at)
      return shards
    },
    settle: used => keeper.settle([...tasks.values()], used),
    async close() {
      for (const task of tasks.values()) await task.close()
    },
  }
}
