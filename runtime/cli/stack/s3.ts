import type { S3Client } from '@aws-sdk/client-s3'
import type { Call } from '../../aws/call.ts'
import type { Random } from '../../ports.ts'

export interface S3 {
  readonly client: S3Client
  readonly call: Call
  readonly random: Random
}

/** S3 as this shell's AWS_* variables have it; the SDK is loaded only where a command needs it. @throws UsageError for an endpoint that is no URL, or without a region */
export async function openBuckets(): Promise<S3> {
  const [{ openS3 }, { caller }, { meters }, { systemClock: clock, systemRandom: random }, { checkEndpoints, withRegion }] =
    await Promise.all([
      import('../../aws/clients.ts'),
      import('../../aws/call.ts'),
      import('../../aws/meter.ts'),
      import('../../embedded/clock.ts'),
      import('./sdk.ts'),
    ])
  checkEndpoints()
  const client = openS3({})
  // Before anything else is asked of it: the region may not be said.
  await withRegion(() => client.config.region())
  return { client, call: caller({ clock, random, meters: meters() }), random }
}
