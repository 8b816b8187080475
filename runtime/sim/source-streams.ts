import type { SourceStreams } from '../aws/functions/environment.ts'
import { formatShard, parseShard } from '../aws/position.ts'
import type { Ports } from '../ports.ts'
import type { Lineage } from './lineage.ts'
import type { Services } from './ports.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'

/** What one environment is told of the sources' streams. Of shards that are new it may hear late. */
export function simSourceStreams(
  simulation: Simulation,
  services: Services,
  ports: Pick<Ports, 'streams'>,
  sandbox: Pick<Sandbox, 'call'>,
): SourceStreams {
  const { scheduler, faults, dice } = simulation
  const { sources } = services
  const { call } = sandbox
  return {
    ...readShards(simulation, services, sources, ports, sandbox),
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
  }
}

/** How far shards go, and what lies in them, of the streams of `lineages`. `nameOf`: what a stream is called there. */
export function readShards(
  { scheduler }: Simulation,
  { kinesis }: Services,
  lineages: ReadonlyMap<string, Lineage>,
  ports: Pick<Ports, 'streams'>,
  { call }: Pick<Sandbox, 'call'>,
  nameOf: (stream: string) => string = stream => stream,
): Pick<SourceStreams, 'isReadToEnd' | 'read'> {
  return {
    isReadToEnd: (stream, id, after) =>
      call({
        name: `streams.end ${stream} ${id}`,
        apply() {
          const name = nameOf(stream)
          const index = parseShard(id)
          const { until } = lineages.get(name)!.shards[index]!
          return until <= scheduler.now && kinesis.records(name, index).every(({ seq }) => seq <= after)
        },
      }),
    async read(stream, shard, after, limit) {
      const records = await ports.streams.poll(nameOf(stream), parseShard(shard), after || undefined, limit)
      return { records, isAll: records.length < limit }
    },
  }
}

const LAG_MS = [1, 10_000] as const
