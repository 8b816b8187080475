import { systemClock, systemRandom } from '../../embedded/clock.ts'
import { s3Blobs } from '../blobs.ts'
import { caller } from '../call.ts'
import { openS3 } from '../clients.ts'
import { meters } from '../meter.ts'
import { s3Objects } from '../objects.ts'
import type { BackfillBacking } from './backfill.ts'
import type { Settings } from './settings.ts'
import { sinksIn } from './sinks-in.ts'

/** What the functions of a backfill stand on, as their stack describes it. */
export function backfillBacking(settings: Settings, deadline: () => number | undefined): BackfillBacking {
  const s3 = openS3({})
  const call = caller({ clock: systemClock, random: systemRandom, meters: meters(), deadline })
  return {
    ports: { blobs: s3Blobs(s3, settings.bucket, '', call, systemRandom), clock: systemClock, random: systemRandom },
    objects: s3Objects(s3, call),
    sinks: sinksIn(settings, s3, call),
    // Once in a backfill, if ever.
    sourceStreams: async () => (await import('./aws-backing.ts')).awsBacking(settings, deadline).sourceStreams,
  }
}
