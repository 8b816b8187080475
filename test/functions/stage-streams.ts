import { ShardMismatchError } from '../../runtime/aws/errors.ts'
import type { StageStreams } from '../../runtime/aws/functions/environment.ts'
import type { RangedShard } from '../../runtime/aws/functions/stage-layout.ts'
import { stageStreams } from '../../runtime/aws/names.ts'
import { formatPosition, formatShard, parsePosition, parseShard } from '../../runtime/aws/position.ts'
import { formatPosition as embeddedPosition } from '../../runtime/embedded/position.ts'
import type { Streams } from '../../runtime/ports.ts'

const HASH_KEYS = 1n << 128n

interface Shard {
  readonly first: bigint
  readonly last: bigint
  closed: boolean
}

/** The streams between stages as Kinesis has them, on other ones: their shards can be split and merged, and a record that is put to a closed one lands in what came of it. */
export function openStageStreams(streams: Streams, prefix: string) {
  const shards = new Map<string, Shard[]>()
  const nameOf = stageStreams(prefix)
  /** As they are in the ports. */
  const names = new Map<string, string>()

  const find = (name: string) => shards.get(name)!
  const openAt = (all: readonly Shard[], hash: bigint) => all.findIndex(s => !s.closed && s.first <= hash && hash <= s.last)

  const splittable: Streams = {
    ...streams,
    async put(stream, shard, data) {
      const name = nameOf(stream)
      const all = shards.get(name)
      if (all === undefined) return streams.put(stream, shard, data)
      const landed = openAt(all, all[shard]!.first)
      const seq = await streams.put(stream, landed, data)
      if (landed !== shard)
        throw new ShardMismatchError(`stream ${name}`, formatShard(shard), `it went to ${formatShard(landed)}`)
      return seq
    },
  }
  const source: StageStreams = {
    listShards: async name =>
      find(name).map(
        ({ first, last, closed }, i): RangedShard => ({
          id: formatShard(i),
          hashKey: String(first),
          lastHashKey: String(last),
          closed,
        }),
      ),
    async isReadToEnd(name, shard, after) {
      return find(name)[parseShard(shard)]!.closed && (await source.read(name, shard, after, 1)).records.length === 0
    },
    async read(name, shard, after, limit) {
      const from = after === '' ? undefined : embeddedPosition(Number(parsePosition(after)))
      const records = await streams.poll(names.get(name)!, parseShard(shard), from, limit)
      return { records: records.map(r => ({ ...r, seq: formatPosition(r.seq) })), isAll: records.length < limit }
    },
  }
  return {
    streams: splittable,
    source,
    /** A stream of even shards. */
    make(stream: string, count: number): void {
      names.set(nameOf(stream), stream)
      const at = (i: number) => (BigInt(i) * HASH_KEYS) / BigInt(count)
      shards.set(
        nameOf(stream),
        Array.from({ length: count }, (_, i) => ({ first: at(i), last: at(i + 1) - 1n, closed: false })),
      )
    },
    shards: (stream: string): readonly Readonly<Shard>[] => find(nameOf(stream)),
    /** `at`: of its hash keys, from 0 to 1. */
    split(stream: string, shard: number, at = 0.5): void {
      const all = find(nameOf(stream))
      const { first, last } = all[shard]!
      const middle = first + BigInt(Math.floor(Number((last - first) / 2n) * 2 * at))
      all[shard]!.closed = true
      all.push({ first, last: middle, closed: false }, { first: middle + 1n, last, closed: false })
    },
    /** A shard with the one behind it. */
    merge(stream: string, shard: number): void {
      const all = find(nameOf(stream))
      const low = all[shard]!
      const high = all.find(s => !s.closed && s.first === low.last + 1n)!
      for (const s of [low, high]) s.closed = true
      all.push({ first: low.first, last: high.last, closed: false })
    },
  }
}

export type SplittableStreams = ReturnType<typeof openStageStreams>
