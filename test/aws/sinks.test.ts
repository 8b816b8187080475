import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { unmarshall } from '@aws-sdk/util-dynamodb'
import fc from 'fast-check'
import { dynamoDbService, dynamoDbSink } from '../../runtime/aws/dynamodb-sink.ts'
import { RequestRefusedError, ThrottledError } from '../../runtime/aws/errors.ts'
import { eventBridgeService } from '../../runtime/aws/event-bridge-sink.ts'
import { kinesisService, kinesisSink } from '../../runtime/aws/kinesis-sink.ts'
import { sqsService, sqsSink } from '../../runtime/aws/sqs-sink.ts'
import { ConnectorError } from '../../runtime/connectors/error.ts'
import type { Outgoing, Service } from '../../runtime/connectors/service.ts'
import { memoryBlobs } from '../connectors/memory-blobs.ts'
import { seeded } from '../engine/events.ts'
import { fakeCalls, fakeClient, networkError, serviceError } from './fakes.ts'

interface Row {
  readonly id: number
  readonly key: string
  readonly pad?: string
}

const FIFO = 'https://sqs/1/alerts.fifo'

/** One entry as a service took it. */
interface Taken {
  readonly id: number
  readonly key: string | undefined
  readonly messageId: string | undefined
}

interface Kind {
  readonly name: string
  readonly ordered: boolean
  readonly service: (calls: () => any) => Service<Row, any>
  readonly entriesOf: (input: any) => any[]
  readonly taken: (entry: any) => Taken
  /** The service's answer, where those with a code were not taken. */
  readonly answer: (entries: readonly any[], codes: readonly (string | undefined)[]) => unknown
  readonly passing: string
}

const json = (text: string) => JSON.parse(text) as Row & { millrace_id?: string }
const kinds: Kind[] = [
  {
    name: 'Kinesis',
    ordered: true,
    service: calls => kinesisService({ stream: 's', partitionKey: r => r.key }, calls),
    entriesOf: input => input.Records,
    taken: ({ Data, PartitionKey }) => {
      const { id, millrace_id } = json(Buffer.from(Data).toString())
      return { id, key: PartitionKey, messageId: millrace_id }
    },
    answer: (_, codes) => ({
      FailedRecordCount: codes.filter(Boolean).length,
      Records: codes.map(ErrorCode =>
        ErrorCode ? { ErrorCode, ErrorMessage: 'slow down' } : { SequenceNumber: '1', ShardId: 's' },
      ),
    }),
    passing: 'ProvisionedThroughputExceededException',
  },
  {
    name: 'SQS FIFO',
    ordered: true,
    service: calls => sqsService({ queueUrl: FIFO, groupId: r => r.key }, calls),
    entriesOf: input => input.Entries,
    taken: ({ MessageBody, MessageGroupId, MessageDeduplicationId, MessageAttributes }) => {
      assert.equal(MessageAttributes['millrace-id'].StringValue, MessageDeduplicationId)
      return { id: json(MessageBody).id, key: MessageGroupId, messageId: MessageDeduplicationId }
    },
    answer: (entries, codes) => ({
      Successful: entries.filter((_, i) => !codes[i]).map(({ Id }) => ({ Id })),
      Failed: entries.flatMap(({ Id }, i) => (codes[i] ? [{ Id, Code: codes[i], SenderFault: false }] : [])).reverse(),
    }),
    passing: 'InternalError',
  },
  {
    name: 'SQS',
    ordered: false,
    service: calls => sqsService({ queueUrl: 'https://sqs/1/alerts' }, calls),
    entriesOf: input => input.Entries,
    taken: ({ MessageBody, MessageGroupId, MessageDeduplicationId, MessageAttributes }) => {
      assert.deepEqual([MessageGroupId, MessageDeduplicationId], [undefined, undefined])
      return { id: json(MessageBody).id, key: undefined, messageId: MessageAttributes['millrace-id'].StringValue }
    },
    answer: (entries, codes) => ({
      Failed: entries.flatMap(({ Id }, i) => (codes[i] ? [{ Id, Code: codes[i], SenderFault: false }] : [])),
    }),
    passing: 'InternalError',
  },
  {
    name: 'EventBridge',
    ordered: false,
    service: calls => eventBridgeService({ source: 'test', detailType: r => r.key }, calls),
    entriesOf: input => input.Entries,
    taken: ({ Detail }) => {
      const { id, millrace_id } = json(Detail)
      return { id, key: undefined, messageId: millrace_id }
    },
    answer: (_, codes) => ({
      Entries: codes.map(ErrorCode => (ErrorCode ? { ErrorCode, ErrorMessage: 'no' } : { EventId: 'e' })),
    }),
    passing: 'InternalFailure',
  },
]

function outgoing<M>(service: Service<Row, M>, rows: readonly Row[]): Outgoing<M>[] {
  return rows.map((row, i) => {
    const id = `w-${i}`
    return { id, message: service.message(row, id, { timestamp: 1e12, key: row.key }), writer: 'w', sink: 's', version: 1 }
  })
}

/** A service that takes some of each batch, in any order, now and then nothing at all, and whose answers get lost. */
function unreliable(kind: Kind, random: () => number, rate: number) {
  const taken: Taken[] = []
  const calls: number[] = []
  const client = fakeClient((_, input) => {
    const entries = kind.entriesOf(input)
    calls.push(entries.length)
    if (random() < rate) throw serviceError('ThrottlingException')
    const codes = entries.map(() => (random() < rate ? kind.passing : undefined))
    const arriving = entries.filter((_, i) => !codes[i]).map(kind.taken)
    // No order in a call.
    taken.push(...arriving.sort(() => random() - 0.5))
    if (random() < rate) throw networkError('ECONNRESET')
    return kind.answer(entries, codes)
  })
  return { taken, calls, client }
}

for (const kind of kinds)
  test(`${kind.name}: all arrive under their ids, those of a key in order, whatever fails in part`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 1, maxLength: 60 }),
        fc.integer(),
        fc.constantFrom(0, 0.1, 0.2),
        async (keys, seed, rate) => {
          const { taken, client } = unreliable(kind, seeded(seed), rate)
          const service = kind.service(() => ({ ...fakeCalls(), client }))
          const rows = keys.map((key, id) => ({ id, key }))
          await service.send(outgoing(service, rows))
          const known = new Set<number>()
          const first = taken.filter(({ id }) => !known.has(id) && known.add(id))
          assert.deepEqual(
            first.map(({ id }) => id).sort((a, b) => a - b),
            rows.map(({ id }) => id),
          )
          for (const { id, messageId } of taken) assert.equal(messageId, `w-${id}`)
          if (!kind.ordered) return
          for (const key of new Set(keys)) {
            const ids = first.filter(t => t.key === key).map(({ id }) => id)
            assert.deepEqual(
              ids,
              ids.toSorted((a, b) => a - b),
            )
          }
        },
      ),
      { numRuns: 100 },
    )
  })

describe('a call takes as much as the service does', () => {
  const count = async (kind: Kind, rows: readonly Row[]) => {
    const { calls, client } = unreliable(kind, () => 1, 0)
    const service = kind.service(() => ({ ...fakeCalls(), client }))
    await service.send(outgoing(service, rows))
    return calls
  }
  const rows = (n: number, key: (i: number) => string, bytes = 0) =>
    Array.from({ length: n }, (_, id) => ({ id, key: key(id), pad: 'x'.repeat(bytes) }))
  const [kinesis, fifo, sqs, bridge] = kinds as [Kind, Kind, Kind, Kind]

  test('entries', async () => {
    assert.deepEqual(await count(kinesis, rows(1100, String)), [500, 500, 100])
    assert.deepEqual(
      await count(
        sqs,
        rows(25, () => 'k'),
      ),
      [10, 10, 5],
    )
    assert.deepEqual(
      await count(
        fifo,
        rows(12, i => String(i % 11)),
      ),
      [10, 1, 1],
    )
    assert.deepEqual(
      await count(
        bridge,
        rows(11, () => 'k'),
      ),
      [10, 1],
    )
  })

  test('bytes', async () => {
    assert.deepEqual(await count(kinesis, rows(7, String, 1_000_000)), [5, 2])
    assert.deepEqual(
      await count(
        sqs,
        rows(3, () => 'k', 500_000),
      ),
      [2, 1],
    )
    assert.deepEqual(
      await count(
        bridge,
        rows(3, () => 'k', 400_000),
      ),
      [2, 1],
    )
  })
})

test('an entry that would be refused again ends it, with what the service said; one that never fits in too', async () => {
  for (const kind of kinds) {
    const final = fakeClient((_, input) => {
      const entries = kind.entriesOf(input)
      const answer: any = kind.answer(
        entries,
        entries.map((_, i) => (i === 0 ? 'InvalidArgument' : undefined)),
      )
      for (const failed of answer.Failed ?? []) failed.SenderFault = true
      return answer
    })
    const service = kind.service(() => ({ ...fakeCalls(), client: final }))
    await assert.rejects(service.send(outgoing(service, [{ id: 1, key: 'k' }])), error => {
      assert.ok(error instanceof RequestRefusedError)
      assert.match(error.message, /refused an entry of \w+\.\w+: InvalidArgument/)
      return true
    })
    const full = fakeClient((_, input) =>
      kind.answer(
        kind.entriesOf(input),
        kind.entriesOf(input).map(() => kind.passing),
      ),
    )
    const busy = kind.service(() => ({ ...fakeCalls(), client: full }))
    await assert.rejects(busy.send(outgoing(busy, [{ id: 1, key: 'k' }])), ThrottledError)
  }
})

describe('what a service would refuse is refused when it is written', () => {
  const never = () => assert.fail('called')
  const record = { timestamp: 1, key: 'k' }
  const refused = (service: Service<any, any>, value: unknown, message: RegExp, r = record) =>
    assert.throws(
      () => service.message(value, 'w-1', r),
      error => error instanceof ConnectorError && message.test(error.message),
    )
  const large = { key: 'k', pad: 'x'.repeat(1_100_000) }

  test('Kinesis', () => {
    const of = (partitionKey: (r: any) => string) => kinesisService<any>({ stream: 's', partitionKey }, never)
    refused(
      of(r => r.key),
      large,
      /the Kinesis sink s got a record of 11\d{5} bytes, and the service takes 1048576/,
    )
    refused(
      of(() => ''),
      {},
      /partitionKey\(\) gave ""; it has to be a string that is not empty/,
    )
    refused(
      of(() => 'x'.repeat(257)),
      {},
      /partitionKey\(\) gave 257 characters/,
    )
    refused(
      of(r => r.a.b),
      {},
      /partitionKey\(\) threw TypeError/,
    )
  })

  test('SQS', () => {
    const fifo = (options = {}) => sqsService<any>({ queueUrl: FIFO, ...options }, never)
    refused(fifo(), large, /takes 1048576/)
    refused(fifo({ body: () => 'a\u0001' }), {}, /can't send the character U\+1,/)
    refused(fifo(), {}, /the key gave "two words", and a message group is of 1 to 128 letters/, {
      timestamp: 1,
      key: 'two words',
    })
    refused(fifo({ groupId: () => 'ä' }), {}, /groupId\(\) gave "ä"/)
    const keyless = { timestamp: 1, key: undefined } as unknown as typeof record
    assert.deepEqual(fifo().message({ a: 1 }, 'writer-7', keyless), { body: '{"a":1}', group: 'writer' })
  })

  test('EventBridge', () => {
    const of = (options = {}) => eventBridgeService<any>({ source: 's', detailType: 'T', ...options }, never)
    refused(of(), large, /takes 999999/)
    refused(of(), [1], /an event's detail is a JSON object, and this one begins with "\[1\]"/)
    assert.deepEqual(of({ detail: (v: number, id: string) => ({ v, id }) }).message(5, 'w-1', record), {
      detail: '{"v":5,"id":"w-1"}',
      detailType: 'T',
      time: 1,
    })
  })

  test('DynamoDB', () => {
    const of = (options = {}) => dynamoDbService<any>({ table: 't', key: ['k'], ...options }, never)
    refused(of(), { k: 'a', pad: 'x'.repeat(410_000) }, /takes 409600/)
    refused(of(), { a: 1 }, /the item lacks k, which is part of the table's key/)
    refused(of(), 7, /an item is an object, and this record is a number/)
    refused(of({ version: () => Number.NaN }), { k: 1 }, /version\(\) gave NaN/)
    refused(of(), { k: 1, millrace_version: 1 }, /has an attribute millrace_version itself/)
    refused(of(), { k: 1, at: new Date() }, /can't make an item of a record: Unsupported type/)
    assert.throws(() => of({ key: [] }), /has 0 key attributes/)
  })
})

test('where it is only planned, an address may be missing', async () => {
  const sinks = [
    kinesisSink<Row>({ stream: process.env.NOT_SET!, partitionKey: r => r.key }),
    sqsSink<Row>({ queueUrl: process.env.NOT_SET! }),
    dynamoDbSink<Row>({ table: process.env.NOT_SET!, key: ['id'] }),
  ]
  const context = { run: 'r', pipeline: 'p', operatorId: 'o', subtask: 0, parallelism: 1, staging: memoryBlobs() }
  for (const sink of sinks) {
    assert.match(sink.describe(), /undefined/)
    await assert.rejects(sink.open(context, undefined), /has no (stream|queueUrl|table): set it, or the environment variable/)
  }
})

describe('DynamoDB', () => {
  /** A table with the sink's condition, by what DynamoDB says it means. */
  function table(random = () => 1, rate = 0) {
    const items = new Map<string, any>()
    const client = fakeClient((name, { Item, ExpressionAttributeValues: values }) => {
      assert.equal(name, 'PutItemCommand')
      if (random() < rate) throw serviceError('ProvisionedThroughputExceededException')
      const stored = items.get(Item.k.S)?.millrace_version.M
      const owner = values[':owner']?.S
      const comparable =
        stored !== undefined && (stored.by.S === values[':by'].S || (owner !== undefined && stored.owner?.S === owner))
      if (comparable && Number(stored.version.N) > Number(values[':version'].N))
        throw serviceError('ConditionalCheckFailedException')
      items.set(Item.k.S, Item)
      if (random() < rate) throw networkError('ECONNRESET')
      return {}
    })
    const n = (key: string) => (items.has(key) ? unmarshall(items.get(key)).n : undefined)
    return { client, n }
  }
  interface Item {
    readonly k: string
    readonly n: number
  }
  const at = (
    service: Service<Item, any>,
    rows: readonly Item[],
    version: number,
    { writer = 'w', sink = 's', keyed = true } = {},
  ) =>
    service.send(
      rows.map((row, i) => ({
        id: `${writer}-${i}`,
        message: service.message(row, '', { timestamp: 0, key: keyed ? row.k : undefined }),
        writer,
        sink,
        version,
      })),
    )

  test('a replay changes nothing, the same commit again overwrites, and another writer has versions of its own', async () => {
    const { client, n } = table()
    const service = dynamoDbService<Item>({ table: 't', key: ['k'] }, () => ({ ...fakeCalls(), client }))
    await at(
      service,
      [
        { k: 'a', n: 1 },
        { k: 'a', n: 2 },
        { k: 'b', n: 1 },
      ],
      5,
    )
    await at(service, [{ k: 'a', n: 99 }], 4)
    assert.equal(n('a'), 2)
    await at(service, [{ k: 'a', n: 3 }], 5)
    assert.equal(n('a'), 3)
    await at(service, [{ k: 'a', n: 4 }], 10)
    await at(service, [{ k: 'a', n: 5 }], 9)
    assert.equal(n('a'), 4)
    await at(service, [{ k: 'a', n: 6 }], 1, { writer: 'other', sink: 'other' })
    assert.equal(n('a'), 6)
    assert.equal(n('b'), 1)
  })

  test('what a subtask sends late does not replace what the one has sent that took over its keys (F3)', async () => {
    const { client, n } = table()
    const service = dynamoDbService<Item>({ table: 't', key: ['k'] }, () => ({ ...fakeCalls(), client }))
    const parent = { writer: 'parent' }
    const child = { writer: 'child' }
    await at(service, [{ k: 'a', n: 1 }], 10, parent)
    await at(service, [{ k: 'a', n: 2 }], 12, child)
    assert.equal(n('a'), 2)
    await at(service, [{ k: 'a', n: 3 }], 11, parent)
    assert.equal(n('a'), 2)
    // Without a key nobody knows whether one took over from the other: the last one stays.
    for (const [i, who] of [parent, child, parent].entries())
      await at(service, [{ k: 'b', n: i }], 9 - i, { ...who, keyed: false })
    assert.equal(n('b'), 2)
  })

  test('with versions of the user, the highest stays, over writers and failures', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ k: fc.constantFrom('a', 'b'), n: fc.nat(9) }), { minLength: 1 }),
        fc.integer(),
        async (rows, seed) => {
          const { client, n } = table(seeded(seed), 0.2)
          const service = dynamoDbService<Item>({ table: 't', key: ['k'], version: r => r.n }, () => ({ ...fakeCalls(), client }))
          for (const [i, row] of rows.entries())
            await at(service, [row, rows[(i * 7) % rows.length]!], i, { writer: `w${i % 2}` })
          for (const key of ['a', 'b']) {
            const mine = rows.filter(r => r.k === key).map(r => r.n)
            if (mine.length > 0) assert.equal(n(key), Math.max(...mine))
          }
        },
      ),
    )
  })
})
