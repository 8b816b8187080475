import type { SourceBatch } from '../../connectors/source.ts'
import { loadHead } from '../../protocol/log.ts'
import type { Subtask } from '../../stage/subtask.ts'
import type { Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import type { OwnedShard } from './follow-shards.ts'
import { leastWatermark, readShardMap, writeShardMap } from './shard-map.ts'
import type { SourceShards } from './source-shards.ts'

/**
 * What no batch tells a subtask: that a shard of its own is closed and read to its end, and holds the watermark back no longer. True: all of them are, and those who take what
 * came of them have caught up, so that consumers may leave this subtask out of their watermarks.
 */
export async function tendShards(
  environment: Environment,
  topology: Topology,
  subtask: Subtask,
  shards: SourceShards,
): Promise<boolean> {
  const listed = await shards.list()
  let isOver = false
  await subtask.deliverSource(async (position, watermark): Promise<SourceBatch> => {
    const split = shards.splits[subtask.shard]!
    const now = shards.now()
    const before = readShardMap(position, split, watermark, now)
    const after = await shards.follow(before, subtask.shard, listed)
    isOver = [...after.values()].every(state => state === 'ended')
    const least = leastWatermark(after, shards.idleAfter, now) ?? watermark
    const next = writeShardMap(after)
    const isNews = least > watermark || JSON.stringify(next) !== JSON.stringify(writeShardMap(before))
    const nothing = { records: [], after: () => next, next, done: false }
    return isNews ? { ...nothing, watermark: least } : nothing
  })
  return isOver && (await isTakenOver(environment, topology, subtask, shards, listed))
}

/**
 * Whether the shards that came of a subtask's own, and that others take, have watermarks that are not behind those of the others. Before that, this subtask's watermark is what keeps
 * their records from being late: of two that are merged, one may have been far ahead.
 */
async function isTakenOver(
  { ports }: Environment,
  topology: Topology,
  { at, shard: subtask }: Subtask,
  { splits, now }: SourceShards,
  listed: readonly OwnedShard[],
): Promise<boolean> {
  const children = (ids: ReadonlySet<string>) => listed.filter(({ parents }) => parents.some(parent => ids.has(parent)))
  const own = new Set([splits[subtask]!, ...listed.filter(({ owner }) => owner === subtask).map(({ id }) => id)])
  const heirs = children(own).filter(({ owner }) => owner !== subtask)
  for (const { id, owner } of heirs) {
    const { head } = await loadHead(ports.log, topology.log(at.stage.index, owner), Number.POSITIVE_INFINITY)
    const { source, watermark } = head.fields
    const state = readShardMap(source, splits[owner]!, watermark, now()).get(id)
    if (state === undefined) return false
    if (state !== 'ended') {
      if (state.watermark < watermark) return false
      continue
    }
    // Read to its end as well: what came of it stands for it.
    for (const heir of children(new Set([id]))) if (!heirs.includes(heir) && heir.owner !== subtask) heirs.push(heir)
  }
  return true
}
