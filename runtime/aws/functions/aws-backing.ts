import { systemClock, systemRandom } from '../../embedded/clock.ts'
import { caller } from '../call.ts'
import { openClients } from '../clients.ts'
import { meters } from '../meter.ts'
import { stageStreams } from '../names.ts'
import { s3Objects } from '../objects.ts'
import { awsPorts } from '../ports.ts'
import { shardEnds } from '../shard-end.ts'
import { type ShardReader, shardReader } from '../shard-reader.ts'
import { listShards } from '../shards.ts'
import { diskCache } from './disk-cache.ts'
import type { Backing, SourceStreams, StageStreams } from './environment.ts'
import type { Settings } from './settings.ts'
import { sinksIn } from './sinks-in.ts'

/** What a function stands on, as its stack describes it. */
export function awsBacking(settings: Settings, deadline: () => number | undefined): Backing {
  const { prefix, tables, bucket } = settings
  const ports = awsPorts({ streams: stageStreams(prefix), tables, bucket, prefix: '', deadline })
  const { kinesis, s3 } = openClients({})
  const calling = { clock: systemClock, random: systemRandom, meters: meters() }
  const call = caller({ ...calling, deadline })
  const callUntil = (until: number) => caller({ ...calling, deadline: () => Math.min(until, deadline() ?? until) })
  const readers = new Map<string, ShardReader>()
  const streams: SourceStreams & StageStreams = {
    listShards: stream => listShards(kinesis, call, stream),
    isReadToEnd: shardEnds(kinesis, callUntil, systemClock),
    async read(stream, shard, after, limit) {
      const name = `${stream}/${shard}`
      const reader = readers.get(name) ?? shardReader(kinesis, stream, shard, call, systemClock)
      readers.set(name, reader)
      const records = await reader.poll(after === '' ? undefined : after, limit, Number.POSITIVE_INFINITY)
      return { records, isAll: reader.isThrough }
    },
  }
  return {
    ports,
    objects: s3Objects(s3, call),
    sinks: sinksIn(settings, s3, call),
    disk: diskCache(),
    sourceStreams: streams,
    stageStreams: streams,
  }
}
