import type { Beginning } from '../../checkpoint/beginning.ts'
import { MillraceError } from '../../errors.ts'
import type { Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import { listThrough } from './newest-shard.ts'
import type { Decided } from './owners.ts'
import type { KinesisSetting } from './settings.ts'
import { isEnded, readShardMap, type ShardMap } from './shard-map.ts'

/** The sources can't read on from where a checkpoint stands. */
export class PositionError extends MillraceError {
  override readonly name = 'PositionError'
}

/** Kinesis keeps everything for so long, and an hour more. */
const KEPT_MS = 23 * 3_600_000
/** A cut is so much older than its checkpoint's manifest, at most: the longest that a checkpoint may be given, and as long again to be completed. */
const CUT_BEFORE_MS = 30 * 60_000

const NEW_INPUT = 'with --new-input, only the state is taken, and the sources read all that their streams have'

/** What a source's subtask has read, in a checkpoint. */
export interface Standing {
  readonly source: string
  readonly subtask: number
  readonly map: ShardMap
}

/**
 * Refuses a checkpoint from which its sources can't read on: only a stream of Kinesis can be read from anywhere, and only as far back as it keeps records.
 * @throws PositionError, PositionExpiredError
 */
export async function checkPositions(
  environment: Environment,
  standings: readonly Standing[],
  createdAt: number,
  what: string,
): Promise<void> {
  const { ports, settings, sourceStreams } = environment
  for (const [source, setting] of Object.entries(settings.sources))
    if (setting.kind !== 'kinesis')
      throw new PositionError(
        `source '${source}' reads ${NAMES[setting.kind]}, whose mapping can't go back to where ${what} stands: ${NEW_INPUT}, and of ${NAMES[setting.kind]} what their mapping brings next`,
      )
  for (const { source, map } of standings) {
    const { stream } = settings.sources[source] as KinesisSetting
    const newest = [...map.keys()].sort().at(-1)
    const listed = isEnded(map) ? [] : await listThrough(() => sourceStreams.listShards(stream), newest, ports.clock)
    for (const [shard, state] of map) {
      if (state === 'ended') continue
      if (!listed.some(({ id }) => id === shard))
        throw new PositionError(
          `${what} stands in ${shard} of stream ${stream}, which does not list it (any more), so records behind it may be lost: start from a newer one; ${NEW_INPUT}`,
        )
      if (state.sequenceNumber !== '') await sourceStreams.read(stream, shard, state.sequenceNumber, 1)
      else await checkBeginning(environment, stream, shard, createdAt, what)
    }
  }
}

const NAMES = { kafka: 'Kafka', dynamodb: 'the changes of a table', s3: 'objects of S3' } as const

/** Nothing was read of a shard when the checkpoint was taken. What came after that has to be there, from the first on. */
async function checkBeginning(
  { ports, sourceStreams }: Environment,
  stream: string,
  shard: string,
  createdAt: number,
  what: string,
): Promise<void> {
  const cutAt = createdAt - CUT_BEFORE_MS
  if (ports.clock.now() - cutAt < KEPT_MS) return
  const [oldest] = (await sourceStreams.read(stream, shard, '', 1)).records
  if (oldest !== undefined && oldest.arrivedAt <= cutAt) return
  throw new PositionError(
    `${what} had read nothing of ${shard} of stream ${stream} yet, and is so old that what came first may be lost: start from a newer one; ${NEW_INPUT}`,
  )
}

/** Who owns the shards that a checkpoint's positions name, beside the splits: the one that has read them (owners.ts). */
export function ownersIn(standings: readonly Standing[], { splits }: Pick<Topology, 'splits'>): Map<string, Decided> {
  const bySource = Map.groupBy(standings, ({ source }) => source)
  return new Map(
    [...bySource].map(([source, all]) => {
      const shards = all.flatMap(({ map, subtask }) => [...map.keys()].map(shard => [shard, subtask] as const))
      return [source, shards.filter(([shard]) => !splits[source]!.includes(shard))]
    }),
  )
}

export function standingsOf(beginnings: readonly Beginning[], { stages, splits }: Topology): Standing[] {
  return beginnings.flatMap(({ stage, shard, head }) => {
    const source = stages[stage]!.stage.source?.source?.name
    if (source === undefined) return []
    return [{ source, subtask: shard, map: readShardMap(head.source, splits[source]![shard]!, head.watermark, 0) }]
  })
}
