import type { StageStreams } from '../aws/functions/environment.ts'
import { stageStreamName } from '../aws/names.ts'
import { formatShard } from '../aws/position.ts'
import type { Ports } from '../ports.ts'
import type { Lineage } from './lineage.ts'
import type { Services } from './ports.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'
import { readShards } from './source-streams.ts'

/** Where a record lands that is addressed to a shard: by its first hash key, as runtime/aws/streams.ts addresses it. */
export function landingOf({ shards }: Lineage, shard: number): number {
  const { first } = shards[shard]!.keys
  return shards.find(({ keys, until }) => until === Number.POSITIVE_INFINITY && keys.first <= first && first <= keys.last)!.index
}

/** What one environment is told of the streams between stages. Of what has become of their shards it may hear late. */
export function simStageStreams(
  simulation: Simulation,
  services: Services,
  ports: Pick<Ports, 'streams'>,
  sandbox: Pick<Sandbox, 'call'>,
  prefix: string,
): StageStreams {
  const { scheduler, faults, dice } = simulation
  const { between } = services
  const { call } = sandbox
  const stageOf = (name: string) => [...between.keys()].find(stage => stageStreamName(prefix, stage) === name)!
  return {
    ...readShards(simulation, services, between, ports, sandbox, stageOf),
    listShards: name =>
      call({
        name: `streams.list ${name}`,
        apply() {
          const lags = faults.happens('read lags')
          // Of each by itself: nobody has said that a list is of one moment.
          return between.get(stageOf(name))!.shards.flatMap(({ index, keys, from, until }) => {
            const asOf = lags ? scheduler.now - dice.spread(...LAG_MS) : scheduler.now
            const { first, last } = keys
            const listed = { id: formatShard(index), hashKey: String(first), lastHashKey: String(last), closed: until <= asOf }
            return from <= asOf ? [listed] : []
          })
        },
      }),
  }
}

const LAG_MS = [1, 10_000] as const
