import { hash } from 'node:crypto'
import { type AttributeValue, DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { marshall } from '@aws-sdk/util-dynamodb'
import { asked, checkAddress } from '../connectors/asked.ts'
import { deliveredSink } from '../connectors/delivered-sink.ts'
import type { DeliveryOptions } from '../connectors/delivery.ts'
import { ConnectorError, reasonOf } from '../connectors/error.ts'
import type { Outgoing, Service } from '../connectors/service.ts'
import type { Sink } from '../connectors/sink.ts'
import { isNamed } from './classify.ts'
import { type ClientOptions, clientConfig } from './client-config.ts'
import { eachConcurrently } from './concurrency.ts'
import { itemBytes } from './item-bytes.ts'
import { checkBytes } from './record-json.ts'
import { lazyCalls } from './sink-calls.ts'

export interface DynamoDbSinkOptions<T> extends ClientOptions, DeliveryOptions {
  /** Its name, or its ARN. */
  readonly table: string
  /** The attributes of the table's key: `['pk', 'sk']`, or `['user_id']`. */
  readonly key: readonly string[]
  /** The item of a record; it replaces what is there. Fields that are undefined are left out. Default: the record. */
  readonly item?: (value: T) => object
  /**
   * Which of two items with the same key is the newer: the window's end, a timestamp, a counter. Needed where several subtasks write one key, and
   * when runs must not undo each other. Default: the version of the commit, which is right when the stream is keyed by what makes the table's key.
   */
  readonly version?: (value: T) => number
  /** The attribute that the version is kept in. Default `millrace_version`. */
  readonly versionAttribute?: string
}

type Item = Record<string, AttributeValue>

interface Message {
  readonly item: Item
  /** Of the key's attributes, as text. */
  readonly key: string
  /** The user's own. */
  readonly version: number | undefined
  /** The key that the record ran under, as a hash. */
  readonly owner?: string
}

const ITEM_BYTES_MAX = 400 * 1024
/** Of the version attribute, with the longest name of a writer. */
const VERSION_BYTES = 160
const OWNER_CHARS = 24
const CONDITION = 'attribute_not_exists(#guard) OR #guard.#by <> :by OR #guard.#version <= :version'
/** The same, and none of a shard that took over (protocol.md, F3): it goes on behind the versions of those before it, whose call may hang and come late. */
const OWNED =
  'attribute_not_exists(#guard) OR (#guard.#by <> :by AND (attribute_not_exists(#guard.#owner) OR #guard.#owner <> :owner)) OR #guard.#version <= :version'

/**
 * Upserts each record into a DynamoDB table, guarded by a version that is kept in an attribute of the item, so that a replay changes nothing and an older item never
 * replaces a newer one. Of several records for a key in one commit, the last is sent.
 *
 * It sends with each commit (`delivery: 'at-least-once'`), which for upserts comes to exactly once as long as a repetition computes the same; with 'exactly-once' items
 * appear when the checkpoint is complete, and none that a failed attempt had made.
 *
 * Throws what the ports throw (docs/aws-ports.md), and ConnectorError for a record that is no item of the table. Needs dynamodb:PutItem.
 *
 * @example
 * rankings.sink('rankings', dynamoDbSink({ table: 'rankings', key: ['user_id'], version: r => r.window_end }))
 */
export function dynamoDbSink<T>(options: DynamoDbSinkOptions<T>): Sink<T> {
  return deliveredSink(dynamoDbService(options), options.delivery ?? 'at-least-once')
}

export function dynamoDbService<T>(
  options: DynamoDbSinkOptions<T>,
  calls = lazyCalls(() => new DynamoDBClient(clientConfig(options))),
): Service<T, Message> {
  const { table, key, item, version, versionAttribute = 'millrace_version' } = options
  const where = `the DynamoDB sink ${table}`
  const resource = `table ${table}`
  if (key.length < 1 || key.length > 2)
    throw new ConnectorError(
      `${where} has ${key.length} key attributes: name the table's partition key, and its sort key if it has one`,
    )

  async function put({ message, writer, sink, version }: Outgoing<Message>): Promise<void> {
    const { client, call } = calls()
    const owner = message.owner === undefined ? undefined : { S: `${sink}-${message.owner}` }
    const guard = {
      by: { S: message.version === undefined ? writer : 'user' },
      version: { N: String(message.version ?? version) },
      ...(owner && { owner }),
    }
    const command = new PutItemCommand({
      TableName: table,
      Item: { ...message.item, [versionAttribute]: { M: guard } },
      ConditionExpression: owner === undefined ? CONDITION : OWNED,
      ExpressionAttributeNames: {
        '#guard': versionAttribute,
        '#by': 'by',
        '#version': 'version',
        ...(owner && { '#owner': 'owner' }),
      },
      ExpressionAttributeValues: { ':by': guard.by, ':version': guard.version, ...(owner && { ':owner': owner }) },
    })
    try {
      await call({ operation: 'dynamodb.PutItem', resource, expected: isNewerThere }, ({ signal }) =>
        client.send(command, { abortSignal: signal }),
      )
    } catch (error) {
      if (!isNewerThere(error)) throw error
    }
  }

  return {
    kind: 'dynamodb',
    where,
    check: () => checkAddress(where, 'table', table),
    message(value, _id, record) {
      const fields = item === undefined ? value : asked(where, 'item', () => item(value))
      const made = itemOf(fields, where)
      if (made[versionAttribute] !== undefined)
        throw new ConnectorError(
          `${where}: the item has an attribute ${versionAttribute} itself, where the sink keeps its version: name another versionAttribute`,
        )
      const missing = key.find(name => made[name] === undefined)
      if (missing !== undefined)
        throw new ConnectorError(
          `${where}: the item lacks ${missing}, which is part of the table's key: give the sink an item() that has it`,
        )
      const own = version === undefined ? undefined : asked(where, 'version', () => version(value))
      if (version !== undefined && !Number.isFinite(own))
        throw new ConnectorError(`${where}: version() gave ${own}; it has to be a finite number`)
      checkBytes(where, itemBytes(made) + versionAttribute.length + VERSION_BYTES, ITEM_BYTES_MAX)
      const owner = own === undefined && record.key !== undefined ? { owner: ownerOf(record.key) } : {}
      return { item: made, key: JSON.stringify(key.map(name => made[name])), version: own, ...owner }
    },
    send: messages => eachConcurrently(newest(messages), put),
    describe: () => `dynamodb ${table}`,
  }
}

function ownerOf(key: unknown): string {
  return hash('sha256', JSON.stringify(key)).slice(0, OWNER_CHARS)
}

/** One for each key. */
function newest(messages: readonly Outgoing<Message>[]): Outgoing<Message>[] {
  const byKey = new Map<string, Outgoing<Message>>()
  for (const m of messages) {
    const known = byKey.get(m.message.key)?.message.version
    if (known === undefined || m.message.version! >= known) byKey.set(m.message.key, m)
  }
  return [...byKey.values()]
}

function itemOf(fields: unknown, where: string): Item {
  if (typeof fields !== 'object' || fields === null)
    throw new ConnectorError(
      `${where}: an item is an object, and this record is ${fields === null ? 'null' : `a ${typeof fields}`}: give the sink an item()`,
    )
  try {
    return marshall(fields, { removeUndefinedValues: true })
  } catch (error) {
    throw new ConnectorError(`${where} can't make an item of a record: ${reasonOf(error)}`, { cause: error })
  }
}

function isNewerThere(error: unknown): boolean {
  return isNamed(error, 'ConditionalCheckFailedException')
}
