import type { SourcePosition } from '../../connectors/source.ts'
import { parsePosition } from '../position.ts'
import type { Arrival, Arrivals, Reading } from './arrivals.ts'
import type { Delivery } from './event.ts'
import { formatState, isSingle, isTaken, leastWatermark, readShardMap, takenOf, writeShardMap } from './shard-map.ts'
import type { SourceShards } from './source-shards.ts'

/**
 * Records of a shard of the user's own stream. A subtask has one shard, its split, and its position is the sequence number, in 56 digits. When that is split or
 * merged, it gets others, each read at its own pace: then its position is a map (shard-map.ts), and its watermark the least of its shards'.
 */
export function kinesisArrivals({ shardId, records }: Delivery, subtask: number, shards: SourceShards): Arrivals {
  const split = shards.splits[subtask]!
  const isSplit = shardId === split
  const seqs = new Map<Arrival, string>()
  for (const { seq, data } of records) {
    const place = { ...(!isSplit && { shard: shardId }), sequenceNumber: parsePosition(seq) }
    seqs.set({ id: isSplit ? seq : `${shardId}-${seq}`, data, place }, seq)
  }
  const holds = (position: SourcePosition, record: Arrival) => isTaken(seqs.get(record)!, takenOf(position, split, shardId))
  const after = (_: SourcePosition | undefined, record: Arrival): SourcePosition => ({ sequenceNumber: seqs.get(record)! })

  async function readFrom(position: SourcePosition | undefined, watermark: number): Promise<Reading> {
    if (isSingle(position) && isSplit) return { holds, after, position, part: undefined }
    const now = shards.now()
    const before = readShardMap(position, split, watermark, now)
    const map = new Map(await shards.followFor(shardId, before, subtask))
    const state = map.get(shardId)!
    const known = { position: writeShardMap(map), holds }
    if (state === 'ended') return { ...known, after: () => known.position, part: undefined }
    map.delete(shardId)
    const others = leastWatermark(map, shards.idleAfter, now) ?? Number.POSITIVE_INFINITY
    let own = state.watermark
    return {
      ...known,
      after: (to, record) => ({
        ...to,
        [shardId]: formatState({ ...state, sequenceNumber: seqs.get(record)!, watermark: own, takenAt: now }),
      }),
      part: {
        name: shardId,
        watermark(made) {
          own = Math.max(own, made)
          return Math.min(own, others)
        },
      },
    }
  }

  return { records: [...seqs.keys()], holds, after, readFrom }
}
