import type { Pipeline } from '../../api/pipeline.ts'
import { blobSink } from '../../connectors/blob-sink.ts'
import { systemClock, systemRandom } from '../../embedded/clock.ts'
import { s3Blobs } from '../blobs.ts'
import { caller } from '../call.ts'
import { openClients } from '../clients.ts'
import { meters } from '../meter.ts'
import { stageStreams } from '../names.ts'
import { s3Objects } from '../objects.ts'
import { awsPorts } from '../ports.ts'
import { shardEnds } from '../shard-end.ts'
import { listShards } from '../shards.ts'
import { diskCache } from './disk-cache.ts'
import { type Backing, type Environment, openEnvironment } from './environment.ts'
import { readSettings, type Settings } from './settings.ts'

/** The environment of a function on AWS, as its stack describes it. */
export function awsEnvironment(app: Pipeline, env = process.env): Environment {
  const settings = readSettings(env)
  return openEnvironment(app, settings, deadline => awsBacking(settings, deadline))
}

export function awsBacking(settings: Settings, deadline: () => number | undefined): Backing {
  const { prefix, tables, bucket } = settings
  const ports = awsPorts({ streams: stageStreams(prefix), tables, bucket, prefix: '', deadline })
  const { kinesis, s3 } = openClients({})
  const calling = { clock: systemClock, random: systemRandom, meters: meters() }
  const call = caller({ ...calling, deadline })
  const callUntil = (until: number) => caller({ ...calling, deadline: () => Math.min(until, deadline() ?? until) })
  const sinks = Object.entries(settings.sinks).map(
    ([name, at]) =>
      [
        name,
        blobSink(s3Blobs(s3, at.bucket, at.prefix, call, systemRandom), name, `s3://${at.bucket}/${at.prefix}${name}`),
      ] as const,
  )
  return {
    ports,
    objects: s3Objects(s3, call),
    sinks: Object.fromEntries(sinks),
    disk: diskCache(),
    sourceStreams: {
      listShards: stream => listShards(kinesis, call, stream),
      isReadToEnd: shardEnds(kinesis, callUntil, systemClock),
    },
  }
}
