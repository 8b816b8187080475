import type { Backing } from '../../runtime/aws/functions/environment.ts'
import type { Settings } from '../../runtime/aws/functions/settings.ts'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import type { Ports } from '../../runtime/ports.ts'
import { NO_OBJECTS } from '../../test/functions/embedded-world.ts'
import { NEVER_SPLIT } from '../../test/functions/never-split.ts'
import { shardId } from '../../test/functions/world.ts'

/** The stream of a user's own, of one shard. */
export const OWN_STREAM = 'users-own'
export const RESULTS = 'results/counts/'

/** What the functions of the stack would be told. */
export function settingsOf(parallelism: number, stage?: string): Settings {
  return {
    prefix: 'bench',
    tables: { log: 'log', state: 'state' },
    bucket: 'bucket',
    options: { parallelism },
    sources: { events: { kind: 'kinesis', stream: OWN_STREAM } },
    sinks: {},
    stage,
    timeoutMs: undefined,
  }
}

/** What they stand on here: embedded ports in the place of the services. */
export function backingOn(ports: Ports): Backing {
  return {
    ports,
    stageStreams: NEVER_SPLIT,
    sourceStreams: {
      listShards: async () => [{ id: shardId(0), parents: [], closed: false }],
      isReadToEnd: async () => false,
      read: () => Promise.reject(new Error('no run begins with a checkpoint here')),
    },
    objects: NO_OBJECTS,
    sinks: { counts: blobSink(ports.blobs, RESULTS.slice(0, -1), 'counts') },
  }
}
