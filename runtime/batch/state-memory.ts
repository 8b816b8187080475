import { chunksOf } from '../checkpoint/blob-names.ts'
import { materialise } from '../checkpoint/materialise.ts'
import type { Ports } from '../ports.ts'
import type { Subtask } from '../stage/subtask.ts'
import type { Topology } from '../stage/topology.ts'
import { estimateBytes, evict } from '../state/eviction.ts'

/** Of the memory given to it, state may take this much until it is brought to the base. */
const FULL = 0.5

/**
 * What a task calls after each commit: state that has outgrown its memory goes to the task's base, on disk, and leaves memory, and so does what was logged of it. The base is made of the log, which
 * is in memory too; most tasks have none until they need a base (`leaveUnlogged`), since one that fails begins anew.
 */
export function relieving(
  topology: Topology,
  ports: Ports,
  budget: number,
  /** What was logged is needed until the end. */
  keepsLog: boolean,
): (subtask: Subtask) => Promise<void> | undefined {
  let logged = 0
  return subtask => {
    const live = subtask.current
    if (live === undefined || live.chain.keyed.length === 0) return undefined
    logged += live.lastCommit?.stateBytes ?? 0
    if (Math.max(logged, estimateBytes(live.chain.keyed)) < FULL * budget) return undefined
    logged = 0
    const unlogged = live.chain.keyed.filter(o => !o.state.logs)
    if (unlogged.length > 0) {
      for (const operator of unlogged) operator.logAll() // with the next commit; and behind that one there is a base to be made
      return undefined
    }
    return relieve(topology, subtask, ports, FULL * budget, keepsLog)
  }
}

/** Brings the state to the task's base, and all but `memory` of it out of memory. */
export async function relieve(
  topology: Topology,
  subtask: Subtask,
  ports: Ports,
  memory: number,
  keepsLog: boolean,
): Promise<void> {
  const live = subtask.current!
  const { version } = live.head
  await materialise(topology, subtask.at, subtask.shard, version, ports, { exclusive: true })
  subtask.materialised(version)
  evict(live.chain.keyed, version, memory)
  if (keepsLog) return
  for (const chunk of await ports.blobs.list(chunksOf(subtask.log))) await ports.blobs.delete(chunk)
}
