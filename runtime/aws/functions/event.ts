import { MillraceError } from '../../errors.ts'
import type { StreamRecord } from '../../ports.ts'
import { formatPosition, parsePosition } from '../position.ts'

/** What Lambda hands over of a Kinesis shard: the part of it that is used here. */
export interface KinesisEvent {
  readonly Records: readonly {
    /** `<shard id>:<sequence number>`. */
    readonly eventID: string
    readonly kinesis: {
      readonly sequenceNumber: string
      /** Base64. */
      readonly data: string
      /** Epoch seconds. */
      readonly approximateArrivalTimestamp: number
    }
  }[]
}

/** What Lambda says of an invocation. */
export interface InvocationContext {
  getRemainingTimeInMillis(): number
}

/** Where the batch has to be delivered again from; with none, all of it is through (ReportBatchItemFailures). */
export interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[]
  /** Of a tumbling window. */
  readonly state?: Readonly<Record<string, string>>
}

/** A batch of one shard, in order. */
export interface Delivery {
  readonly shardId: string
  readonly records: readonly StreamRecord[]
}

/** @throws MillraceError for records of several shards: state belongs to one */
export function readDelivery({ Records }: KinesisEvent): Delivery | undefined {
  if (Records.length === 0) return undefined
  const shardId = shardOf(Records[0]!.eventID)
  const stranger = Records.find(r => shardOf(r.eventID) !== shardId)
  if (stranger !== undefined) throw new MillraceError(`one batch has records of ${shardId} and of ${shardOf(stranger.eventID)}`)
  const records = Records.map(({ kinesis }) => ({
    seq: formatPosition(kinesis.sequenceNumber),
    data: Buffer.from(kinesis.data, 'base64'),
    arrivedAt: kinesis.approximateArrivalTimestamp * 1000,
  }))
  return { shardId, records }
}

/** Whether the same batch may be through when it comes again. */
export function mayPass(error: unknown): boolean {
  return error instanceof MillraceError && error.retryable
}

/** Everything behind position `covered` is to be delivered again. */
export function failuresAfter(covered: string, { records }: Delivery): BatchResponse {
  const first = records.find(r => r.seq > covered)
  return { batchItemFailures: first === undefined ? [] : [failure(first)] }
}

/**
 * The same after an error: of a batch whose records are all covered the last one is delivered again, because what it set off (more timers than fit in one
 * commit) may not be through.
 */
export function failuresOnError(covered: string, { records }: Delivery): BatchResponse {
  return { batchItemFailures: [failure(records.find(r => r.seq > covered) ?? records.at(-1)!)] }
}

function failure({ seq }: StreamRecord) {
  return { itemIdentifier: parsePosition(seq) }
}

function shardOf(eventID: string): string {
  return eventID.slice(0, eventID.indexOf(':'))
}
