import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GetRecordsCommand, GetShardIteratorCommand, ListShardsCommand, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { type Clients, openClients } from '../../runtime/aws/clients.ts'
import { awsPorts } from '../../runtime/aws/ports.ts'
import { formatShard } from '../../runtime/aws/position.ts'
import { bytes, words } from '../conformance/data.ts'
import { type AwsFixture, openAwsFixture, withoutLocalStack } from './resources.ts'

describe("a stage's stream", { skip: withoutLocalStack }, () => {
  let fixture: AwsFixture
  let clients: Clients
  before(async () => {
    fixture = await openAwsFixture(['run/split', 'run/many'], 4)
    clients = openClients(fixture.options)
  })
  after(async () => {
    clients?.close()
    await fixture?.close()
  })

  test('has its shards in the order of their hash keys, so that an index means the same to everybody', async () => {
    const StreamName = fixture.options.streams('run/many')
    const { Shards = [] } = await clients.kinesis.send(new ListShardsCommand({ StreamName }))
    const byHashKey = Shards.toSorted((a, b) =>
      BigInt(a.HashKeyRange!.StartingHashKey!) < BigInt(b.HashKeyRange!.StartingHashKey!) ? -1 : 1,
    )
    assert.deepEqual(
      byHashKey.map(shard => shard.ShardId),
      [0, 1, 2, 3].map(formatShard),
    )
    for (let index = 0; index < 4; index++) {
      await fixture.ports.streams.put('run/many', index, bytes(`for ${index}`))
      const iterator = { StreamName, ShardId: formatShard(index), ShardIteratorType: 'TRIM_HORIZON' } as const
      const { ShardIterator } = await clients.kinesis.send(new GetShardIteratorCommand(iterator))
      const { Records = [] } = await clients.kinesis.send(new GetRecordsCommand({ ShardIterator: ShardIterator! }))
      assert.deepEqual(
        Records.map(record => words(record.Data!)),
        [`for ${index}`],
      )
    }
  })

  test('that somebody splits takes no record in a shard that was not planned, warm or cold, and the others go on (F1)', async () => {
    const { streams } = fixture.ports
    const StreamName = fixture.options.streams('run/split')
    const first = await streams.put('run/split', 1, bytes('before'))
    const { Shards = [] } = await clients.kinesis.send(new ListShardsCommand({ StreamName }))
    const { StartingHashKey, EndingHashKey } = Shards.find(shard => shard.ShardId === formatShard(1))!.HashKeyRange!
    const NewStartingHashKey = String((BigInt(StartingHashKey!) + BigInt(EndingHashKey!)) / 2n)
    await clients.kinesis.send(new SplitShardCommand({ StreamName, ShardToSplit: formatShard(1), NewStartingHashKey }))

    const error = { name: 'ShardMismatchError', message: /The attempt is void/, retryable: true }
    for (let warm = 0; warm < 2; warm++) await assert.rejects(streams.put('run/split', 1, bytes('after')), error)
    const cold = awsPorts(fixture.options)
    await assert.rejects(cold.streams.put('run/split', 1, bytes('after')), error)
    await cold.streams.put('run/split', 2, bytes('elsewhere'))
    cold.close()

    // What the parent had is still read, to its end.
    const read = await streams.poll('run/split', 1, undefined, 10)
    assert.deepEqual(
      read.map(record => [record.seq, words(record.data)]),
      [[first, 'before']],
    )
    assert.deepEqual(await streams.poll('run/split', 1, first, 10), [])
  })

  test('that is not there is an error that says what to look at', async () => {
    const missing = awsPorts({
      ...fixture.options,
      streams: () => 'no-such-stream',
      tables: { log: 'no-log', state: 'no-state' },
      bucket: 'no-bucket-of-that-name',
    })
    const error = { name: 'ResourceMissingError', retryable: false, message: /deploy the stack/ }
    await assert.rejects(missing.streams.put('s', 0, bytes('x')), error)
    await assert.rejects(missing.streams.poll('s', 0, undefined, 1), error)
    await assert.rejects(missing.log.get('l', 1), error)
    await assert.rejects(missing.store.batchGet([{ pk: 'a', sk: 'b' }]), error)
    await assert.rejects(missing.blobs.put('a', bytes('x')), error)
    await assert.rejects(missing.blobs.get('a'), error)
    missing.close()
  })
})
