import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatPosition } from '../../runtime/aws/position.ts'
import { shardEnds } from '../../runtime/aws/shard-end.ts'
import { listShards } from '../../runtime/aws/shards.ts'
import { fakeCalls, fakeClient, serviceError } from './fakes.ts'

const SHARD = 'shardId-000000000001'
const AT = formatPosition('7')

const BUDGET_MS = 5_000
const EMPTY = (length: number) => Array.from({ length }, (): unknown[] => [])

/** Pages of a shard by iterator: `1`, `2` …; the last one has no next. */
function open(
  pages: readonly (readonly unknown[])[],
  { open = false, iterator = (_: any): unknown => undefined, listed = [SHARD], page: onPage = (_: number) => {} } = {},
) {
  const asked: [string, any][] = []
  const calls = fakeCalls()
  const client = fakeClient((name, input) => {
    asked.push([name, input])
    if (name === 'GetShardIteratorCommand') {
      iterator(input)
      return { ShardIterator: '1' }
    }
    if (name === 'ListShardsCommand')
      return { Shards: listed.map(ShardId => ({ ShardId, HashKeyRange: { StartingHashKey: '0' } })) }
    const page = Number(input.ShardIterator)
    onPage(page)
    return { Records: pages[page - 1] ?? [], NextShardIterator: open || page < pages.length ? String(page + 1) : undefined }
  })
  const isReadToEnd = shardEnds(client, () => calls.call, calls.clock)
  const ask = (after = AT) => isReadToEnd('s', SHARD, after, calls.clock.now() + BUDGET_MS)
  const count = (name: string) => asked.filter(([command]) => command === name).length
  return { ask, asked, count, clock: calls.clock }
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

  test('whose end is farther away than there is time for is asked on from there: the end is found, and the shard has its reads for others', async () => {
    const { ask, count, clock } = open(EMPTY(200))
    const begun = clock.now()
    let asks = 1
    for (; ; asks++) {
      try {
        assert.equal(await ask(), true)
        break
      } catch (error) {
        assert.match(String(error), /^DeadlineError: there was no time to read shardId-000000000001 of stream s to its end/)
      }
      assert.ok(asks < 20)
    }
    assert.ok(asks > 1)
    assert.equal(count('GetShardIteratorCommand'), 1)
    // Where one stopped, the next begins with the page that was read last, or would have been next.
    assert.ok(count('GetRecordsCommand') <= 200 + asks)
    assert.ok(count('GetRecordsCommand') <= (4.2 * (clock.now() - begun)) / 1_000 + 4 * asks)
  })

  test('with a record behind more empty pages than there is time for is not at its end, however often it is asked', async () => {
    const { ask } = open([...EMPTY(60), [{}], []])
    const answers: unknown[] = []
    for (let i = 0; i < 8; i++) answers.push(await ask().catch(error => error.name))
    assert.ok(answers.includes('DeadlineError'))
    assert.ok(answers.includes(false))
    assert.ok(!answers.includes(true))
  })

  test('is looked at from another position when more of it is taken, and from the same when five minutes have passed', async () => {
    let isOld = false
    const page = () => {
      if (isOld) throw serviceError('ExpiredIteratorException')
    }
    const iterator = () => {
      isOld = false
    }
    const { ask, asked } = open(EMPTY(60), { page, iterator })
    const positions = () =>
      asked.flatMap(([name, { StartingSequenceNumber }]) => (name === 'GetShardIteratorCommand' ? StartingSequenceNumber : []))
    await assert.rejects(ask(), { name: 'DeadlineError' })
    isOld = true
    await assert.rejects(ask(), { name: 'DeadlineError' })
    assert.deepEqual(positions(), ['7', '7'])
    await assert.rejects(ask(formatPosition('8')), { name: 'DeadlineError' })
    assert.deepEqual(positions(), ['7', '7', '8'])
  })

  test('that is open after all has no end', async () => {
    const { ask, asked } = open([[]], { open: true })
    await assert.rejects(ask(), { name: 'DeadlineError' })
    assert.ok(asked.length < 60)
  })

  test('is not at its end because an answer was cut off', async () => {
    const calls = fakeCalls()
    const client = fakeClient(name => (name === 'GetShardIteratorCommand' ? { ShardIterator: '1' } : {}))
    const isReadToEnd = shardEnds(client, () => calls.call, calls.clock)
    assert.equal(await isReadToEnd('s', SHARD, AT, calls.clock.now() + BUDGET_MS), false)
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
