import type { CommitLog } from '../ports.ts'
import { pack, unpack } from '../state/codec.ts'

/** How long keys stood still until a shard that took over from others was ready for them. */
export interface Pause {
  /** From when the first of its records arrived, ms. */
  readonly waitedMs: number
  /** Of that, from when somebody began to end its parents' logs, ms. */
  readonly tookMs: number
}

const pauseOf = (log: string) => `${log}/pause`

/** Of a shard's log: the first who says it counts. */
export async function putPause(log: Pick<CommitLog, 'putIfAbsent'>, name: string, pause: Pause): Promise<void> {
  await log.putIfAbsent(pauseOf(name), 1, pack(pause))
}

export async function readPause(log: Pick<CommitLog, 'get'>, name: string): Promise<Pause | undefined> {
  const bytes = await log.get(pauseOf(name), 1)
  return bytes && unpack<Pause>(bytes)
}
