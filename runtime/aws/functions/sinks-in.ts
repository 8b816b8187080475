import type { S3Client } from '@aws-sdk/client-s3'
import { blobSink } from '../../connectors/blob-sink.ts'
import type { Sink } from '../../connectors/sink.ts'
import { systemRandom } from '../../embedded/clock.ts'
import { s3Blobs } from '../blobs.ts'
import type { Call } from '../call.ts'
import type { Settings } from './settings.ts'

/** The sinks that write where the stack says. */
export function sinksIn({ sinks }: Pick<Settings, 'sinks'>, s3: S3Client, call: Call): Record<string, Sink<any>> {
  return Object.fromEntries(
    Object.entries(sinks).map(
      ([name, at]) =>
        [
          name,
          blobSink(s3Blobs(s3, at.bucket, at.prefix, call, systemRandom), name, `s3://${at.bucket}/${at.prefix}${name}`),
        ] as const,
    ),
  )
}
