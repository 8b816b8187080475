import type { SourceStreams } from '../aws/functions/environment.ts'
import { formatShard, parseShard } from '../aws/position.ts'
import type { Ports } from '../ports.ts'
import type { Services } from './ports.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'

/** What one environment is told of the sources' streams. Of shards that are new it may hear late. */
export function simSourceStreams(
  { scheduler, faults, dice }: Simulation,
  { kinesis, sources }: Services,
  ports: Pick<Ports, 'streams'>,
  { call }: Pick<Sandbox, 'call'>,
): SourceStreams {
  return {
    listShards: stream =>
      call({
        name: `streams.list ${stream}`,
        apply() {
          const asOf = faults.happens('read lags') ? scheduler.now - dice.spread(...LAG_MS) : scheduler.now
          return sources
            .get(stream)!
            .shards.filter(({ from }) => from <= asOf)
            .map(({ index, parents, until }) => ({
              id: formatShard(index),
              parents: parents.map(formatShard),
              closed: until <= asOf,
            }))
        },
      }),
    isReadToEnd: (stream, id, after) =>
      call({
        name: `streams.end ${stream} ${id}`,
        apply() {
          const index = parseShard(id)
          const { until } = sources.get(stream)!.shards[index]!
          return until <= scheduler.now && kinesis.records(stream, index).every(({ seq }) => seq <= after)
        },
      }),
    async read(stream, shard, after, limit) {
      const records = await ports.streams.poll(stream, parseShard(shard), after || undefined, limit)
      return { records, isAll: records.length < limit }
    },
  }
}

const LAG_MS = [1, 10_000] as const
