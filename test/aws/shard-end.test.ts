import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatPosition } from '../../runtime/aws/position.ts'
import { isReadToEnd } from '../../runtime/aws/shard-end.ts'
import { listShards } from '../../runtime/aws/shards.ts'
import { fakeCalls, fakeClient, serviceError } from './fakes.ts'

const SHARD = 'shardId-000000000001'
const AT = formatPosition('7')

/** Pages of a shard by iterator: `1`, `2` …; the last one has no next. */
function open(
  pages: readonly (readonly unknown[])[],
  { open = false, iterator = (_: any): unknown => undefined, listed = [SHARD] } = {},
) {
  const asked: [string, any][] = []
  const client = fakeClient((name, input) => {
    asked.push([name, input])
    if (name === 'GetShardIteratorCommand') {
      iterator(input)
      return { ShardIterator: '1' }
    }
    if (name === 'ListShardsCommand')
      return { Shards: listed.map(ShardId => ({ ShardId, HashKeyRange: { StartingHashKey: '0' } })) }
    const page = Number(input.ShardIterator)
    return { Records: pages[page - 1] ?? [], NextShardIterator: open || page < pages.length ? String(page + 1) : undefined }
  })
  const ask = (after = AT) => isReadToEnd(client, fakeCalls().call, 's', SHARD, after)
  return { ask, asked }
}

describe('a closed shard', () => {
  test('is read to its end when nothing follows, however many empty pages there are', async () => {
    const { ask, asked } = open([[], [], []])
    assert.equal(await ask(), true)
    const [, input] = asked[0]!
    assert.deepEqual(input, {
      StreamName: 's',
      ShardId: SHARD,
      ShardIteratorType: 'AFTER_SEQUENCE_NUMBER',
      StartingSequenceNumber: '7',
    })
  })

  test('is not as long as a record follows, be it behind empty pages', async () => {
    assert.equal(await open([[], [{}]]).ask(), false)
  })

  test('of which nothing was taken is looked at from its oldest record on', async () => {
    const { ask, asked } = open([[{}]])
    assert.equal(await ask(''), false)
    assert.equal(asked[0]![1].ShardIteratorType, 'TRIM_HORIZON')
  })

  test('whose position is past the retention is looked at from the oldest record that is left', async () => {
    const iterator = ({ ShardIteratorType }: any) => {
      if (ShardIteratorType !== 'TRIM_HORIZON') throw serviceError('InvalidArgumentException')
    }
    assert.equal(await open([[{}]], { iterator }).ask(), false)
    assert.equal(await open([[]], { iterator }).ask(), true)
  })

  test('that its stream has forgotten is at its end; a stream that is not there is an error', async () => {
    const iterator = () => {
      throw serviceError('ResourceNotFoundException')
    }
    assert.equal(await open([], { iterator, listed: ['shardId-000000000002'] }).ask(), true)
    await assert.rejects(open([], { iterator }).ask(), { name: 'ResourceMissingError' })
  })

  test('with more empty pages than one asks for at a time is not at its end yet; nor is an open one', async () => {
    assert.equal(await open(Array.from({ length: 60 }, () => [])).ask(), false)
    const { ask, asked } = open([[]], { open: true })
    assert.equal(await ask(), false)
    assert.ok(asked.length < 60)
  })
})

test('the list of shards says whose children they are, oldest first', async () => {
  const HashKeyRange = { StartingHashKey: '0', EndingHashKey: '9' }
  const client = fakeClient(() => ({
    Shards: [
      { ShardId: 'shardId-000000000010', HashKeyRange, ParentShardId: 'shardId-000000000002', AdjacentParentShardId: SHARD },
      { ShardId: 'shardId-000000000002', HashKeyRange, SequenceNumberRange: { EndingSequenceNumber: '9' }, ParentShardId: 'a' },
      { ShardId: SHARD, HashKeyRange, SequenceNumberRange: { StartingSequenceNumber: '1' } },
    ],
  }))
  const listed = await listShards(client, fakeCalls().call, 's')
  assert.deepEqual(
    listed.map(({ id, parents, closed }) => [id, parents, closed]),
    [
      [SHARD, [], false],
      ['shardId-000000000002', ['a'], true],
      ['shardId-000000000010', ['shardId-000000000002', SHARD], false],
    ],
  )
})
