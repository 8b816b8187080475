import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge'
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

export interface EventBridgeSinkOptions<T> extends ClientOptions, DeliveryOptions {
  /** Its name, or its ARN. Default: the account's default bus. */
  readonly eventBus?: string
  readonly source: string
  readonly detailType: string | ((value: T) => string)
  /**
   * The event's detail, a JSON object. `id` is the record's own, the same whenever it is sent again (with at-least-once delivery: within one attempt). Default: the record, with
   * exactly-once delivery with its id as a field `millrace_id`.
   */
  readonly detail?: (value: T, id: string) => object
}

interface Message {
  readonly detail: string
  readonly detailType: string
  /** Epoch ms; undefined: EventBridge's own. */
  readonly time: number | undefined
}

const ENTRIES_MAX = 10
/** Of all entries of a call: less than 1 MB. */
const BYTES_MAX = 1_000_000 - 1
/** Beside the texts: the time. */
const ENTRY_BYTES = 14

/**
 * Puts events on an EventBridge bus; their time is the record's. EventBridge keeps no order, and delivers at least once: with exactly-once delivery, whoever gets them leaves out
 * a `detail.millrace_id` that he knows.
 *
 * Throws what the ports throw (docs/aws-ports.md), and ConnectorError for a record that EventBridge wouldn't take. Needs events:PutEvents.
 *
 * @example
 * alerts.sink('alerts', eventBridgeSink({ eventBus: 'shop', source: 'shop.alerts', detailType: alert => (alert.urgent ? 'Urgent' : 'Alert') }))
 */
export function eventBridgeSink<T>(options: EventBridgeSinkOptions<T>): Sink<T> {
  return deliveredSink(eventBridgeService(options), options.delivery)
}

export function eventBridgeService<T>(
  options: EventBridgeSinkOptions<T>,
  calls = lazyCalls(() => new EventBridgeClient(clientConfig(options))),
): Service<T, Message> {
  const { eventBus = 'default', source, detailType, detail, delivery = 'exactly-once' } = options
  const where = `the EventBridge sink ${eventBus}`
  const resource = `event bus ${eventBus}`
  const bytesOf = (m: Message) =>
    Buffer.byteLength(m.detail) + Buffer.byteLength(m.detailType) + Buffer.byteLength(source) + ENTRY_BYTES
  return {
    kind: 'eventbridge',
    where,
    check: () => checkAddress(where, 'source', source),
    message(value, id, { timestamp }) {
      const json =
        detail === undefined
          ? recordJson(value, where, delivery === 'exactly-once' ? id : undefined)
          : recordJson(
              asked(where, 'detail', () => detail(value, id)),
              where,
            )
      if (!json.startsWith('{'))
        throw new ConnectorError(
          `${where}: an event's detail is a JSON object, and this one begins with ${JSON.stringify(json.slice(0, 20))}: give the sink a detail, as in detail: value => ({ value })`,
        )
      const message = {
        detail: json,
        detailType: typeof detailType === 'string' ? detailType : askedText(where, 'detailType', () => detailType(value)),
        time: timestamp > 0 && Number.isFinite(timestamp) ? timestamp : undefined,
      }
      checkBytes(where, bytesOf(message), BYTES_MAX)
      return message
    },
    send(messages: readonly Outgoing<Message>[]) {
      const { client, call, clock, random } = calls()
      return sendBatches(messages, {
        resource,
        operation: 'events.PutEvents',
        entriesMax: ENTRIES_MAX,
        bytesMax: BYTES_MAX,
        bytesOf: ({ message }) => bytesOf(message),
        keyOf: () => undefined,
        async send(batch) {
          const Entries = batch.map(({ message: m }) => ({
            EventBusName: eventBus,
            Source: source,
            DetailType: m.detailType,
            Detail: m.detail,
            ...(m.time !== undefined && { Time: new Date(m.time) }),
          }))
          const { Entries: answers = [] } = await call({ operation: 'events.PutEvents', resource }, ({ signal }) =>
            client.send(new PutEventsCommand({ Entries }), { abortSignal: signal }),
          )
          return answers.flatMap(({ ErrorCode: code, ErrorMessage: message = '' }, index) =>
            code === undefined ? [] : [{ index, code, message }],
          )
        },
        clock,
        random,
      })
    },
    describe: () => `eventbridge ${eventBus}`,
  }
}
