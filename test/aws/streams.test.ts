import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatPosition } from '../../runtime/aws/position.ts'
import { kinesisStreams } from '../../runtime/aws/streams.ts'
import { fakeCalls, fakeClient, serviceError } from './fakes.ts'

const shard = (number: number, closed = false) => ({
  ShardId: `shardId-${String(number).padStart(12, '0')}`,
  HashKeyRange: { StartingHashKey: String(number * 1000), EndingHashKey: String(number * 1000 + 999) },
  SequenceNumberRange: { StartingSequenceNumber: '1', ...(closed ? { EndingSequenceNumber: '9' } : {}) },
})

function open(answer: (name: string, input: any) => unknown) {
  const asked: [string, any][] = []
  const client = fakeClient((name, input) => {
    asked.push([name, input])
    return answer(name, input)
  })
  const calls = fakeCalls()
  return { streams: kinesisStreams(client, stream => `k-${stream}`, calls.call, calls.clock), asked, ...calls }
}

describe('a put', () => {
  test('addresses its shard by hash key, and lists the shards of a stream once, over all pages', async () => {
    const { streams, asked, meters } = open((name, input) => {
      if (name === 'ListShardsCommand')
        return input.NextToken ? { Shards: [shard(1)] } : { Shards: [shard(0)], NextToken: 'more' }
      return { ShardId: shard(input.ExplicitHashKey / 1000).ShardId, SequenceNumber: '7' }
    })
    assert.deepEqual(
      await Promise.all([0, 1].map(index => streams.put('s', index, new Uint8Array(30_000)))),
      [7, 7].map(n => formatPosition(String(n))),
    )
    assert.deepEqual(
      asked.filter(([name]) => name === 'ListShardsCommand').map(([, input]) => input),
      [{ StreamName: 'k-s' }, { NextToken: 'more' }],
    )
    assert.equal(meters.stats()['kinesis.PutRecord.writeUnits'], 4)
    assert.equal(meters.stats()['kinesis.PutRecord.bytes'], 60_000)
  })

  test('whose answer names another shard is an error, and the shards are listed anew (F1)', async () => {
    let split = false
    const { streams, asked } = open(name => {
      if (name === 'ListShardsCommand') return { Shards: split ? [shard(0, true), shard(1), shard(2)] : [shard(0)] }
      split = true
      return { ShardId: shard(1).ShardId, SequenceNumber: '7' }
    })
    const error = { name: 'ShardMismatchError', resource: 'stream k-s', retryable: true }
    await assert.rejects(streams.put('s', 0, new Uint8Array(1)), { ...error, message: /went to shardId-000000000001/ })
    await assert.rejects(streams.put('s', 0, new Uint8Array(1)), { ...error, message: /closed/ })
    assert.equal(asked.filter(([name]) => name === 'PutRecordCommand').length, 1, 'a closed shard is not put to')
  })

  test('to a shard that the stream does not have says how many it has', async () => {
    const { streams } = open(() => ({ Shards: [shard(0)] }))
    await assert.rejects(streams.put('s', 3, new Uint8Array(1)), {
      name: 'ResourceMissingError',
      message: /shardId-000000000003.*subtasks/,
    })
  })

  test('of more than Kinesis takes is refused before it is sent', async () => {
    const { streams, asked } = open(() => ({}))
    await assert.rejects(streams.put('s', 0, new Uint8Array(1 << 20)), { name: 'TooLargeError', bytesMax: 1 << 20 })
    assert.deepEqual(asked, [])
  })

  test('after a list of shards that failed asks for it again', async () => {
    let failed = false
    const { streams } = open(name => {
      if (name === 'PutRecordCommand') return { ShardId: shard(0).ShardId, SequenceNumber: '7' }
      if (failed) return { Shards: [shard(0)] }
      failed = true
      throw serviceError('AccessDeniedException')
    })
    await assert.rejects(streams.put('s', 0, new Uint8Array(1)), { name: 'AccessRefusedError' })
    await streams.put('s', 0, new Uint8Array(1))
  })
})
