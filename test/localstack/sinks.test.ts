import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import {
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  ScanCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb'
import {
  CreateEventBusCommand,
  DeleteEventBusCommand,
  DeleteRuleCommand,
  EventBridgeClient,
  PutRuleCommand,
  PutTargetsCommand,
  RemoveTargetsCommand,
} from '@aws-sdk/client-eventbridge'
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  waitUntilStreamExists,
} from '@aws-sdk/client-kinesis'
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { unmarshall } from '@aws-sdk/util-dynamodb'
import { clientConfig } from '../../runtime/aws/client-config.ts'
import { dynamoDbSink, eventBridgeSink, kinesisSink, sqsSink } from '../../runtime/aws/index.ts'
import type { Sink, SinkState } from '../../runtime/connectors/sink.ts'
import { systemRandom } from '../../runtime/embedded/clock.ts'
import { CheckpointedRun, faultyBlobs, finish, type Row, SUBTASKS } from '../connectors/checkpointed.ts'
import { memoryBlobs } from '../connectors/memory-blobs.ts'
import { seeded } from '../engine/events.ts'
import { type FaultyProxy, openFaultyProxy } from './faulty-proxy.ts'
import { endpoint, withoutLocalStack } from './resources.ts'

const here = { endpoint: endpoint!, region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }
const prefix = `sinks-${systemRandom.id()}`
const COMMITS = 12

interface Arrived {
  readonly id: string
  readonly row: Row
}

/** Two subtasks, commits and checkpoints, some of them interrupted; at the end all that has to be there. */
async function play(sink: Sink<Row>, seed: number): Promise<Row[]> {
  const faults = { rate: 0.02, random: seeded(seed) }
  const run = new CheckpointedRun(
    sink,
    `r-${systemRandom.id()}`,
    faultyBlobs(memoryBlobs(), faults),
    faults,
    Array<SinkState | undefined>(SUBTASKS).fill(undefined),
  )
  for (let i = 0; i < COMMITS; i++) {
    await run.commit(i % SUBTASKS, 7)
    if (i % 3 !== 2) continue
    await run.cut(i % 2 === 0, [3, 3])
    if (i % 4 !== 1) await run.commitSinks()
  }
  await finish(run)
  return run.committed.flat()
}

/** What somebody has who leaves out ids that he knows: exactly what was committed, and in order of `keyOf`. */
function check(arrived: readonly Arrived[], committed: readonly Row[], keyOf: ((row: Row) => string) | undefined): void {
  const known = new Map<string, Row>()
  for (const { id, row } of arrived) {
    if (known.has(id)) assert.deepEqual(known.get(id), row)
    else known.set(id, row)
  }
  const seen = [...known.values()].map(({ id, subtask, key }) => ({ id, subtask, key }))
  const by = (rows: readonly Row[], key: string) => rows.filter(r => keyOf!(r) === key).map(({ id }) => id)
  assert.deepEqual(seen.map(({ id }) => id).sort(), committed.map(({ id }) => id).sort())
  if (keyOf === undefined) return
  for (const key of new Set(committed.map(keyOf))) assert.deepEqual(by(seen, key), by(committed, key))
}

/** Of one subtask: it alone keeps an order. */
const keyOf = (row: Row) => `${row.subtask}-${row.key}`

describe('sinks on LocalStack, with throttling and lost answers', { skip: withoutLocalStack }, () => {
  const kinesis = new KinesisClient(clientConfig(here))
  const sqs = new SQSClient(clientConfig(here))
  const events = new EventBridgeClient(clientConfig(here))
  const dynamodb = new DynamoDBClient(clientConfig(here))
  let proxy: FaultyProxy
  let there: typeof here

  before(async () => {
    proxy = await openFaultyProxy(endpoint!, { throttled: 0.1, answerLost: 0.2 }, 1)
    there = { ...here, endpoint: proxy.endpoint }
  })
  let lost = 0
  afterEach(() => {
    assert.ok(proxy.counts.lost > lost, 'no answer was lost')
    lost = proxy.counts.lost
  })
  after(async () => {
    assert.ok(proxy.counts.throttled > 10 && proxy.counts.lost > 10, JSON.stringify(proxy.counts))
    await proxy.close()
    for (const client of [kinesis, sqs, events, dynamodb]) client.destroy()
  })

  /** The client goes where the queue's URL says. */
  const throughProxy = (queueUrl: string) => there.endpoint + new URL(queueUrl).pathname

  async function received(QueueUrl: string): Promise<Message[]> {
    const all: Message[] = []
    for (let empty = 0; empty < 2; ) {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, MessageAttributeNames: ['All'] }),
      )
      empty = Messages.length === 0 ? empty + 1 : 0
      all.push(...Messages)
      const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }))
      if (Entries.length > 0) await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
    }
    return all
  }

  test('Kinesis: each record once by its id, in the order of its key, over several shards', async t => {
    const StreamName = `${prefix}-stream`
    await kinesis.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }))
    t.after(() => kinesis.send(new DeleteStreamCommand({ StreamName })))
    await waitUntilStreamExists({ client: kinesis, maxWaitTime: 60, minDelay: 1 }, { StreamName })
    const committed = await play(kinesisSink<Row>({ ...there, stream: StreamName, partitionKey: keyOf }), 1)
    const arrived: Arrived[] = []
    const { Shards = [] } = await kinesis.send(new ListShardsCommand({ StreamName }))
    for (const { ShardId } of Shards) {
      const start = await kinesis.send(new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }))
      const { Records = [] } = await kinesis.send(new GetRecordsCommand({ ShardIterator: start.ShardIterator }))
      for (const { Data } of Records) {
        const { millrace_id, ...row } = JSON.parse(Buffer.from(Data!).toString())
        arrived.push({ id: millrace_id, row })
      }
    }
    check(arrived, committed, keyOf)
  })

  test('SQS, FIFO: the queue itself drops what is sent again, and keeps the order of a group', async t => {
    const made = await sqs.send(new CreateQueueCommand({ QueueName: `${prefix}.fifo`, Attributes: { FifoQueue: 'true' } }))
    const queueUrl = made.QueueUrl!
    t.after(() => sqs.send(new DeleteQueueCommand({ QueueUrl: queueUrl })))
    const committed = await play(sqsSink<Row>({ ...there, queueUrl: throughProxy(queueUrl), groupId: keyOf }), 2)
    const arrived = (await received(queueUrl)).map(m => ({
      id: m.MessageAttributes!['millrace-id']!.StringValue!,
      row: JSON.parse(m.Body!),
    }))
    assert.equal(new Set(arrived.map(({ id }) => id)).size, arrived.length)
    check(arrived, committed, keyOf)
  })

  test('SQS, standard: each message once by the id that it carries', async t => {
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: prefix }))
    t.after(() => sqs.send(new DeleteQueueCommand({ QueueUrl })))
    const committed = await play(sqsSink<Row>({ ...there, queueUrl: throughProxy(QueueUrl!) }), 3)
    const arrived = (await received(QueueUrl!)).map(m => ({
      id: m.MessageAttributes!['millrace-id']!.StringValue!,
      row: JSON.parse(m.Body!),
    }))
    check(arrived, committed, undefined)
  })

  test('EventBridge: a rule sees each event once by its id, with its type and time', async t => {
    const Name = `${prefix}-bus`
    await events.send(new CreateEventBusCommand({ Name }))
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: `${prefix}-events` }))
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }))
    const rule = { EventBusName: Name, Rule: 'all' }
    await events.send(new PutRuleCommand({ EventBusName: Name, Name: 'all', EventPattern: JSON.stringify({ source: ['test'] }) }))
    await events.send(new PutTargetsCommand({ ...rule, Targets: [{ Id: 'queue', Arn: Attributes!.QueueArn! }] }))
    t.after(async () => {
      await events.send(new RemoveTargetsCommand({ ...rule, Ids: ['queue'] }))
      await events.send(new DeleteRuleCommand({ EventBusName: Name, Name: 'all' }))
      await events.send(new DeleteEventBusCommand({ Name }))
      await sqs.send(new DeleteQueueCommand({ QueueUrl }))
    })
    const sink = eventBridgeSink<Row>({ ...there, eventBus: Name, source: 'test', detailType: row => `Row ${row.key}` })
    const committed = await play(sink, 4)
    const arrived = (await received(QueueUrl!)).map(({ Body }) => {
      const event = JSON.parse(Body!)
      const { millrace_id, ...row } = event.detail
      assert.equal(event['detail-type'], `Row ${row.key}`)
      return { id: millrace_id as string, row }
    })
    check(arrived, committed, undefined)
  })

  for (const delivery of ['at-least-once', 'exactly-once'] as const)
    test(`DynamoDB, ${delivery}: a table holds the last item of each key, which a replay does not change`, async t => {
      const TableName = `${prefix}-${delivery}`
      await dynamodb.send(
        new CreateTableCommand({
          TableName,
          BillingMode: 'PAY_PER_REQUEST',
          AttributeDefinitions: [{ AttributeName: 'who', AttributeType: 'S' }],
          KeySchema: [{ AttributeName: 'who', KeyType: 'HASH' }],
        }),
      )
      t.after(() => dynamodb.send(new DeleteTableCommand({ TableName })))
      await waitUntilTableExists({ client: dynamodb, maxWaitTime: 60, minDelay: 1 }, { TableName })
      const item = (row: Row) => ({ who: keyOf(row), last: row.id, none: undefined, list: [1, { a: null }] })
      const sink = dynamoDbSink<Row>({ ...there, table: TableName, key: ['who'], item, delivery })
      const committed = delivery === 'exactly-once' ? await play(sink, 5) : await flushAll(sink)
      const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName, ConsistentRead: true }))
      const found = Object.fromEntries(Items.map(i => unmarshall(i)).map(({ who, last, list }) => [who, { last, list }]))
      const expected = Object.fromEntries(committed.map(row => [keyOf(row), { last: row.id, list: [1, { a: null }] }]))
      assert.deepEqual(found, expected)
    })

  /** Each commit twice, and an older one again; one of a subtask that had ended when another one had gone on with its keys. */
  async function flushAll(sink: Sink<Row>): Promise<Row[]> {
    const context = { run: prefix, pipeline: 'p', operatorId: 'o', subtask: 0, parallelism: 1, staging: memoryBlobs() }
    const rows = (version: number, attempt: string) =>
      Array.from({ length: 9 }, (_, i) => ({ id: `${version}/${attempt}/${i}`, subtask: 0, key: `k${(version * i) % 5}` }))
    for (const [version, attempt, subtask] of [
      [1, 'a', 0],
      [2, 'a', 0],
      [2, 'b', 0],
      [1, 'c', 0],
      [3, 'a', 0],
      [3, 'a', 0],
      [6, 'a', 1],
      [4, 'a', 0],
    ] as const) {
      const writer = await sink.open({ ...context, subtask }, undefined)
      for (const row of rows(version, attempt)) writer.write(row, { timestamp: 0, key: row.key })
      await writer.flush({ ...context, version, attempt, checkpoint: 1 }, undefined)
    }
    return [...rows(1, 'a'), ...rows(2, 'b'), ...rows(3, 'a'), ...rows(6, 'a')]
  }
})
