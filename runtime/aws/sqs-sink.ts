import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs'
import { askedText, checkAddress } from '../connectors/asked.ts'
import { deliveredSink } from '../connectors/delivered-sink.ts'
import type { DeliveryOptions } from '../connectors/delivery.ts'
import { ConnectorError } from '../connectors/error.ts'
import type { Outgoing, Service } from '../connectors/service.ts'
import type { Sink } from '../connectors/sink.ts'
import { type Refusal, sendBatches } from './batches.ts'
import { type ClientOptions, clientConfig } from './client-config.ts'
import { checkBytes, recordJson } from './record-json.ts'
import { lazyCalls } from './sink-calls.ts'

export interface SqsSinkOptions<T> extends ClientOptions, DeliveryOptions {
  /** One that ends in `.fifo` keeps order. */
  readonly queueUrl: string
  /** What is sent. Default: the record as JSON. */
  readonly body?: (value: T) => string
  /**
   * The message group: which messages of a FIFO queue stay in order, and on others who shares fairly. Up to 128 letters, digits and punctuation marks. Default on
   * a FIFO queue: the key of the stream; without one, the subtask.
   */
  readonly groupId?: (value: T) => string
}

interface Message {
  readonly body: string
  readonly group: string | undefined
}

const ENTRIES_MAX = 10
/** Of a message with its attributes, and of a call. */
const BYTES_MAX = 1 << 20
const ID_ATTRIBUTE = 'millrace-id'
/** Its name, type and value. */
const ATTRIBUTE_BYTES = 90
const NOT_IN_A_BODY = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u
const GROUP = /^[\x21-\x7e]{1,128}$/

/**
 * Sends messages to an SQS queue, with the record's id in the attribute `millrace-id`. On a FIFO queue it is the deduplication id as well, so that the queue itself drops what is
 * sent again within its five minutes; messages of one group stay in order, which costs a call for each of them.
 *
 * Throws what the ports throw (docs/aws-ports.md), and ConnectorError for a record that SQS wouldn't take. Needs sqs:SendMessage, and for an encrypted queue
 * kms:GenerateDataKey and kms:Decrypt.
 *
 * @example
 * alerts.sink('alerts', sqsSink({ queueUrl: process.env.ALERTS_QUEUE!, groupId: alert => alert.user }))
 */
export function sqsSink<T>(options: SqsSinkOptions<T>): Sink<T> {
  return deliveredSink(sqsService(options), options.delivery)
}

export function sqsService<T>(
  options: SqsSinkOptions<T>,
  calls = lazyCalls(() => new SQSClient(clientConfig(options))),
): Service<T, Message> {
  const { queueUrl, body, groupId } = options
  const where = `the SQS sink ${queueUrl}`
  const resource = `queue ${queueUrl}`
  const fifo = queueUrl?.endsWith('.fifo')

  function groupOf(value: T, key: unknown, id: string): string | undefined {
    if (groupId === undefined && !fifo) return undefined
    // Without its number, an id is the subtask.
    const group =
      groupId === undefined
        ? key === undefined
          ? id.slice(0, id.indexOf('-'))
          : keyText(key)
        : askedText(where, 'groupId', () => groupId(value))
    if (GROUP.test(group)) return group
    throw new ConnectorError(
      `${where}: ${groupId === undefined ? 'the key' : 'groupId()'} gave ${JSON.stringify(group.slice(0, 200))}, and a message group is of 1 to 128 letters, digits and punctuation marks: give another groupId, a hash perhaps`,
    )
  }

  return {
    kind: 'sqs',
    where,
    check: () => checkAddress(where, 'queueUrl', queueUrl),
    message(value, id, { key }) {
      const text = body === undefined ? recordJson(value, where) : askedText(where, 'body', () => body(value))
      const strange = NOT_IN_A_BODY.exec(text)?.[0]
      if (strange !== undefined)
        throw new ConnectorError(
          `${where} can't send the character U+${strange.codePointAt(0)!.toString(16).toUpperCase()}, which SQS refuses: take it out, or encode the text`,
        )
      const message = { body: text, group: groupOf(value, key, id) }
      checkBytes(where, bytesOf(message), BYTES_MAX)
      return message
    },
    send(messages: readonly Outgoing<Message>[]) {
      const { client, call, clock, random } = calls()
      return sendBatches(messages, {
        resource,
        operation: 'sqs.SendMessageBatch',
        entriesMax: ENTRIES_MAX,
        bytesMax: BYTES_MAX,
        bytesOf: ({ message }) => bytesOf(message),
        keyOf: ({ message }) => (fifo ? message.group : undefined),
        async send(batch): Promise<Refusal[]> {
          const Entries = batch.map(({ id, message }, i) => ({
            Id: String(i),
            MessageBody: message.body,
            MessageAttributes: { [ID_ATTRIBUTE]: { DataType: 'String', StringValue: id } },
            ...(message.group !== undefined && { MessageGroupId: message.group }),
            ...(fifo && { MessageDeduplicationId: id }),
          }))
          const { Failed = [] } = await call({ operation: 'sqs.SendMessageBatch', resource }, ({ signal }) =>
            client.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries }), { abortSignal: signal }),
          )
          return Failed.map(({ Id, Code, Message = '', SenderFault }) => ({
            index: Number(Id),
            code: Code!,
            message: Message,
            final: SenderFault!,
          }))
        },
        clock,
        random,
      })
    },
    describe: () => `sqs ${queueUrl}`,
  }
}

function keyText(key: unknown): string {
  return typeof key === 'string' ? key : JSON.stringify(key)
}

function bytesOf({ body, group = '' }: Message): number {
  return Buffer.byteLength(body) + group.length + ATTRIBUTE_BYTES
}
