import { systemClock, systemRandom } from '../embedded/clock.ts'
import type { Clock, Ports, Random } from '../ports.ts'
import { s3Blobs } from './blobs.ts'
import { caller } from './call.ts'
import type { ClientOptions } from './client-config.ts'
import { openClients } from './clients.ts'
import { dynamodbLog } from './log.ts'
import { meters } from './meter.ts'
import { spill } from './spill.ts'
import { dynamodbStore } from './store.ts'
import { kinesisStreams } from './streams.ts'
import { openTable } from './table.ts'

/** What the ports stand on. The stack makes all of it, and passes the names on. */
export interface AwsOptions extends ClientOptions {
  /** The Kinesis stream of a stream: usually `stageStreams(prefix)` (names.ts). */
  readonly streams: (stream: string) => string
  /**
   * Two tables, each with the string keys `pk` and `sk`: a stage may write the one and only read the other, and materialising, which comes in
   * bursts, can't throttle commits.
   */
  readonly tables: { readonly log: string; readonly state: string }
  readonly bucket: string
  /** What keys in the bucket begin with: '' or 'shop/'. `<prefix>values/` is the store's. */
  readonly prefix: string
  /** Epoch ms after which nothing is sent any more: somewhat before the function is stopped (protocol.md, A8). */
  readonly deadline?: () => number | undefined
  readonly clock?: Clock
  readonly random?: Random
}

export interface AwsPorts extends Ports {
  /** Closes the connections. */
  close(): void
  /** Requests, payload bytes and units so far, by operation: `dynamodb.PutItem.calls`, `kinesis.PutRecord.writeUnits`, … (meter.ts). */
  stats(): Record<string, number>
}

/**
 * The ports on Kinesis, DynamoDB and S3, or on what answers like them at `endpoint`.
 *
 * Whatever they raise is a MillraceError that names the stream, table or bucket, `retryable` where another try may help; throttling and failures of the network
 * have been tried again by then, with full jitter, up to `deadline`.
 *
 * @example
 * const ports = awsPorts({
 *   streams: stageStreams('shop'),
 *   tables: { log: 'shop-log', state: 'shop-state' },
 *   bucket: 'shop-1234',
 *   prefix: '',
 *   deadline: () => invocationEnd - 5_000,
 * })
 */
export function awsPorts(options: AwsOptions): AwsPorts {
  const { streams, tables, bucket, prefix, deadline, clock = systemClock, random = systemRandom } = options
  const { kinesis, dynamodb, s3, close } = openClients(options)
  const calls = meters()
  const call = caller({ clock, random, meters: calls, deadline })
  const table = (name: string) => openTable(name, dynamodb, call, clock, random)
  const values = spill(s3Blobs(s3, bucket, `${prefix}values/`, call, random), random)
  return {
    streams: kinesisStreams(kinesis, streams, call, clock),
    log: dynamodbLog(table(tables.log), random),
    store: dynamodbStore(table(tables.state), values),
    blobs: s3Blobs(s3, bucket, prefix, call, random),
    clock,
    random,
    close,
    stats: calls.stats,
  }
}
