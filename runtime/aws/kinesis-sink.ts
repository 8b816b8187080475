import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { asked, askedText, checkAddress } from '../connectors/asked.ts'
import { deliveredSink } from '../connectors/delivered-sink.ts'
import type { DeliveryOptions } from '../connectors/delivery.ts'
import { ConnectorError } from '../connectors/error.ts'
import type { Outgoing, Service } from '../connectors/service.ts'
import type { Sink } from '../connectors/sink.ts'
import { sendBatches } from './batches.ts'
import { type ClientOptions, clientConfig } from './client-config.ts'
import { checkBytes, recordJson } from './record-json.ts'
import { lazyCalls } from './sink-calls.ts'

export interface KinesisSinkOptions<T> extends ClientOptions, DeliveryOptions {
  /** Its name, or its ARN. */
  readonly stream: string
  /** Which records stay in order: those with the same text, of 1 to 256 characters. */
  readonly partitionKey: (value: T) => string
  /**
   * What is written. `id` is the record's own, the same whenever it is sent again (with at-least-once delivery: within one attempt). Default: the record as JSON, with exactly-once
   * delivery with its id as a field `millrace_id`.
   */
  readonly data?: (value: T, id: string) => string | Uint8Array
}

interface Message {
  readonly key: string
  readonly data: string | Uint8Array
}

const ENTRIES_MAX = 500
/** Kinesis takes 10 MiB; a shard takes 1 MB a second. */
const BYTES_MAX = 5 << 20
/** Of a record, with its key, unless the stream was made for larger ones. */
const RECORD_BYTES_MAX = 1 << 20
const KEY_CHARS_MAX = 256

/**
 * Writes to a Kinesis stream, one record each, never aggregated. Records of one partition key stay in order, which costs a call for each of them, since Kinesis keeps no
 * order in a call: many keys go 500 at a time.
 *
 * Kinesis itself drops nothing, so readers see a record again that was sent again: with exactly-once delivery they leave out a `millrace_id` that they know.
 *
 * Throws what the ports throw (docs/aws-ports.md), and ConnectorError for a record that Kinesis wouldn't take. Needs kinesis:PutRecords.
 *
 * @example
 * rankings.sink('rankings', kinesisSink({ stream: 'shop-rankings', partitionKey: r => r.user_id }))
 */
export function kinesisSink<T>(options: KinesisSinkOptions<T>): Sink<T> {
  return deliveredSink(kinesisService(options), options.delivery)
}

export function kinesisService<T>(
  options: KinesisSinkOptions<T>,
  calls = lazyCalls(() => new KinesisClient(clientConfig(options))),
): Service<T, Message> {
  const { stream, partitionKey, data, delivery = 'exactly-once' } = options
  const where = `the Kinesis sink ${stream}`
  const resource = `stream ${stream}`
  const target = stream?.startsWith('arn:') ? { StreamARN: stream } : { StreamName: stream }
  return {
    kind: 'kinesis',
    where,
    check: () => checkAddress(where, 'stream', stream),
    message(value, id) {
      const key = askedText(where, 'partitionKey', () => partitionKey(value))
      if (key.length > KEY_CHARS_MAX || !key.isWellFormed())
        throw new ConnectorError(
          `${where}: partitionKey() gave ${key.length} characters; Kinesis takes up to ${KEY_CHARS_MAX}, of well-formed Unicode`,
        )
      const message = {
        key,
        data:
          data === undefined
            ? recordJson(value, where, delivery === 'exactly-once' ? id : undefined)
            : asked(where, 'data', () => data(value, id)),
      }
      checkBytes(where, bytesOf(message), RECORD_BYTES_MAX)
      return message
    },
    send(messages: readonly Outgoing<Message>[]) {
      const { client, call, clock, random } = calls()
      return sendBatches(messages, {
        resource,
        operation: 'kinesis.PutRecords',
        entriesMax: ENTRIES_MAX,
        bytesMax: BYTES_MAX,
        bytesOf: ({ message }) => bytesOf(message),
        keyOf: ({ message }) => message.key,
        async send(batch) {
          const Records = batch.map(({ message: { key, data } }) => ({
            PartitionKey: key,
            Data: typeof data === 'string' ? Buffer.from(data) : data,
          }))
          const { Records: answers = [] } = await call({ operation: 'kinesis.PutRecords', resource }, ({ signal }) =>
            client.send(new PutRecordsCommand({ ...target, Records }), { abortSignal: signal }),
          )
          return answers.flatMap(({ ErrorCode: code, ErrorMessage: message = '' }, index) =>
            code === undefined ? [] : [{ index, code, message }],
          )
        },
        clock,
        random,
      })
    },
    describe: () => `kinesis ${stream}`,
  }
}

function bytesOf({ key, data }: Message): number {
  return Buffer.byteLength(key) + Buffer.byteLength(data)
}
