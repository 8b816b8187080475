import { readMarker } from '../../checkpoint/marker.ts'
import { estimateBytes, evict } from '../../state/eviction.ts'
import type { Environment } from './environment.ts'
import type { ShardTask } from './shard-task.ts'

/** Of the function's memory: the rest is for records under way, code, and what estimates miss. */
const STATE_SHARE = 0.25
/** The same of blocks of segments, beside it. */
const SEGMENTS_SHARE = 0.1
/** Where nobody says how much it has. */
export const DEFAULT_MB = 512
/** Checkpoints move the marker, at intervals of seconds to minutes. */
const MARKER_AGE_MS = 30_000

/** Bytes of keyed state that one environment may hold, over all its shards. */
export function stateBudget(env: Readonly<Record<string, string | undefined>> = process.env): number {
  return memoryBytes(env) * STATE_SHARE
}

/** Bytes of segments that one environment may keep unpacked, over all its shards. */
export function segmentCacheBytes(env: Readonly<Record<string, string | undefined>> = process.env): number {
  return memoryBytes(env) * SEGMENTS_SHARE
}

function memoryBytes(env: Readonly<Record<string, string | undefined>>): number {
  return Number(env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? DEFAULT_MB) * 2 ** 20
}

/** Keeps the keyed state of an environment's shards within its memory; what leaves it comes back from the base, or from the log, when it is asked for. */
export function openKeeper({ ports }: Environment, budget: number) {
  const askedAt = new Map<ShardTask, number>()
  return {
    /** After a batch of `used`. `tasks` in order of use, the longest unused first. */
    async settle(tasks: readonly ShardTask[], used: ShardTask): Promise<void> {
      const live = used.subtask.current
      if (live === undefined || live.chain.keyed.length === 0) return
      const share = budget / tasks.length
      const now = ports.clock.now()
      if (estimateBytes(live.chain.keyed) > share / 2 && now - (askedAt.get(used) ?? 0) > MARKER_AGE_MS) {
        askedAt.set(used, now)
        used.subtask.materialised(await readMarker(ports.store, used.subtask.log))
      }
      evict(live.chain.keyed, live.marker, share)
      let held = tasks.reduce((sum, t) => sum + bytesOf(t), 0)
      for (const task of tasks) {
        if (held <= budget || task === used) return
        held -= bytesOf(task)
        await task.close()
      }
    },
  }
}

function bytesOf({ subtask }: ShardTask): number {
  return subtask.current === undefined ? 0 : estimateBytes(subtask.current.chain.keyed)
}
