import type { ListedShard } from './owners.ts'
import type { ShardMap, ShardState } from './shard-map.ts'

/** One that its stream lists, and the subtask that takes its records. */
export interface OwnedShard extends ListedShard {
  readonly owner: number
}

const NOTHING = Number.NEGATIVE_INFINITY

export interface Following {
  readonly subtask: number
  /** What the stream lists, oldest first. */
  readonly listed: readonly OwnedShard[]
  /** What came is of this one: so it has begun, and is not at its end. */
  readonly delivered?: string | undefined
  /** Epoch ms. */
  readonly now: number
  /** Whether a closed shard has nothing behind a position. */
  isReadToEnd(shard: string, after: string): Promise<boolean>
}

/**
 * Whether a shard that is read to its end was merged into one that another subtask has, or into what the list is too late to have. As long as nobody knows that this one has caught up with it (tend-shards.ts), it counts
 * as not at its end: its watermark is what keeps its records there from being late.
 */
export function isMergedElsewhere(shard: string, subtask: number, listed: readonly OwnedShard[]): boolean {
  const children = listed.filter(({ parents }) => parents.includes(shard))
  return listed.some(({ id }) => id === shard) && (children.length === 0 || children.some(({ owner }) => owner !== subtask))
}

/**
 * What has become of a subtask's shards. One that is read to its end makes room for its children, which begin at its watermark; until then it stands for them. One that had ended
 * leaves when its stream lists it no longer, since nothing of it can come again then.
 */
export async function followShards(map: ShardMap, following: Following): Promise<ShardMap> {
  const { subtask, listed, delivered, isReadToEnd } = following
  const next = new Map(map)
  const ids = new Set(listed.map(({ id }) => id))
  const newest = [...ids].reduce((a, b) => (a > b ? a : b), '')
  const own = new Map(listed.flatMap(shard => (shard.owner === subtask ? [[shard.id, shard] as const] : [])))
  // One whose child was there, and that was not, has left already: then it was taken, should it be listed once more.
  const gone = new Set(listed.flatMap(({ id, parents }) => (map.has(id) ? parents.filter(p => !map.has(p)) : [])))
  const watermarks = new Map([...map].map(([id, state]) => [id, state === 'ended' ? NOTHING : state.watermark]))

  function begin({ id, parents, closed }: OwnedShard): void {
    if (next.has(id) || gone.has(id)) return
    for (const parent of parents) if (own.has(parent)) begin(own.get(parent)!)
    const watermark = parents.length === 0 ? NOTHING : Math.min(...parents.map(parent => watermarks.get(parent) ?? NOTHING))
    watermarks.set(id, watermark)
    next.set(id, { sequenceNumber: '', watermark, takenAt: following.now, closed })
  }

  async function followed(shard: string, state: ShardState, closed: boolean): Promise<ShardState> {
    if (state === 'ended' || !(state.closed || closed)) return state
    if (shard !== delivered && (await isReadToEnd(shard, state.sequenceNumber))) return 'ended'
    return { ...state, closed: true }
  }

  const come = delivered === undefined ? undefined : own.get(delivered)
  if (come !== undefined) begin(come)
  for (const [shard, state] of map) {
    // Numbers rise: a list without the newest is only late.
    if (ids.has(shard) || shard > newest) continue
    if (state === 'ended') next.delete(shard)
    else next.set(shard, await followed(shard, state, true))
  }
  const open = new Map<string, ShardState>()
  for (const shard of own.values()) {
    const { id, parents, closed } = shard
    if (parents.every(parent => !own.has(parent) || gone.has(parent) || next.get(parent) === 'ended')) begin(shard)
    const state = next.get(id)
    if (state === undefined) {
      if (gone.has(id)) continue
      // Merged with one that is not at its end yet: those that are stand for it with their watermarks until then, and the other may be far ahead of them.
      for (const parent of parents) if (next.get(parent) === 'ended' && open.has(parent)) next.set(parent, open.get(parent)!)
      continue
    }
    if (state !== 'ended') open.set(id, { ...state, closed: true })
    next.set(id, await followed(id, state, closed))
  }
  return next
}
