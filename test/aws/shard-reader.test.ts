import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatPosition } from '../../runtime/aws/position.ts'
import { shardReader } from '../../runtime/aws/shard-reader.ts'
import { fakeCalls, fakeClient, serviceError } from './fakes.ts'

const HOUR = 3_600_000
const at = (sequence: number) => formatPosition(String(sequence))

/** A shard of Kinesis: its records by sequence number, with what the service does at the edges. */
function fakeShard() {
  const calls = fakeCalls()
  const records: { sequence: number; arrived: number }[] = []
  const shard = {
    trimmedTo: 0,
    /** GetShardIterator refuses a sequence number that was trimmed. It does not always. */
    refusesTrimmed: false,
    /** Answers with no records, though more come behind, so many times. */
    gaps: 0,
    closed: false,
    iteratorMs: 5 * 60_000,
    asked: [] as string[],
    put: (sequence: number) => records.push({ sequence, arrived: calls.clock.now() }),
  }
  const client = fakeClient((name, input) => {
    shard.asked.push(name)
    const now = calls.clock.now()
    if (name === 'GetShardIteratorCommand') {
      const sequence = Number(input.StartingSequenceNumber ?? 0)
      if (input.ShardIteratorType === 'AT_SEQUENCE_NUMBER' && shard.refusesTrimmed && sequence <= shard.trimmedTo)
        throw serviceError('InvalidArgumentException', 400, 'StartingSequenceNumber is no longer available')
      return { ShardIterator: JSON.stringify({ from: sequence, made: now }) }
    }
    const { from, made } = JSON.parse(input.ShardIterator)
    if (now - made > shard.iteratorMs) throw serviceError('ExpiredIteratorException')
    const next = (sequence: number) => JSON.stringify({ from: sequence, made: now })
    if (shard.gaps > 0) {
      shard.gaps--
      return { Records: [], NextShardIterator: next(from), MillisBehindLatest: 1000 }
    }
    const left = records.filter(r => r.sequence >= from && r.sequence > shard.trimmedTo)
    const Records = left.slice(0, input.Limit).map(r => ({
      SequenceNumber: String(r.sequence),
      Data: new Uint8Array(100),
      ApproximateArrivalTimestamp: new Date(r.arrived),
    }))
    const last = Records.at(-1)
    const rest = left.length - Records.length
    if (rest === 0 && shard.closed) return { Records, MillisBehindLatest: 0 }
    return {
      Records,
      NextShardIterator: next(last ? Number(last.SequenceNumber) + 1 : from),
      MillisBehindLatest: rest > 0 ? 5 : 0,
    }
  })
  const open = () => {
    const reader = shardReader(client, 's', 'shardId-000000000000', calls.call, calls.clock)
    return async (after: number | undefined, limit = 100, bytesMax = Number.POSITIVE_INFINITY) =>
      (await reader.poll(after === undefined ? undefined : at(after), limit, bytesMax)).map(record => Number(record.seq))
  }
  const asked = () => shard.asked.splice(0).map(name => name.replace('Command', ''))
  return Object.assign(shard, { clock: calls.clock, open, took: asked })
}

describe('a reader of a shard', () => {
  test('goes on from where it stands with one request', async () => {
    const shard = fakeShard()
    for (const n of [1, 2, 3]) shard.put(n)
    const poll = shard.open()
    assert.deepEqual(await poll(undefined), [1, 2, 3])
    shard.took()
    assert.deepEqual(await poll(3), [])
    shard.put(4)
    assert.deepEqual(await poll(3), [4])
    assert.deepEqual(shard.took(), ['GetRecords', 'GetRecords'])
  })

  test('hands out what it read and could not hand out at once, without asking again', async () => {
    const shard = fakeShard()
    for (let n = 1; n <= 5; n++) shard.put(n)
    const poll = shard.open()
    assert.deepEqual(await poll(undefined, 100, 250), [1, 2])
    shard.took()
    assert.deepEqual(await poll(2, 1), [3])
    assert.deepEqual(await poll(3, 100), [4, 5])
    assert.deepEqual(shard.took(), [])
    assert.deepEqual(await poll(1, 100, 1), [2], 'another position is read anew')
  })

  test('reads on over answers of nothing while more comes behind them', async () => {
    const shard = fakeShard()
    shard.put(1)
    shard.gaps = 7
    assert.deepEqual(await shard.open()(undefined), [1])
  })

  test('renews an iterator that expired, and loses nothing', async () => {
    const shard = fakeShard()
    for (const n of [1, 2]) shard.put(n)
    const poll = shard.open()
    assert.deepEqual(await poll(undefined), [1, 2])
    shard.clock.time += 6 * 60_000
    shard.put(3)
    assert.deepEqual(await poll(2), [3])
    assert.deepEqual(shard.took().slice(-3), ['GetRecords', 'GetShardIterator', 'GetRecords'])
  })

  test('of a closed shard comes to its end', async () => {
    const shard = fakeShard()
    shard.put(1)
    shard.closed = true
    const poll = shard.open()
    assert.deepEqual(await poll(undefined), [1])
    shard.took()
    assert.deepEqual(await poll(1), [])
    assert.deepEqual(shard.took(), [])
  })

  test('two polls at a time from one position both see all', async () => {
    const shard = fakeShard()
    for (const n of [1, 2, 3]) shard.put(n)
    const poll = shard.open()
    await poll(undefined, 1)
    assert.deepEqual(await Promise.all([poll(1), poll(1)]), [
      [2, 3],
      [2, 3],
    ])
  })
})

describe('a position behind the retention', () => {
  for (const refuses of [true, false]) {
    const how = refuses ? 'where Kinesis says so' : 'where Kinesis goes on behind the hole without a word'
    test(`is an error, never a skip, ${how}`, async () => {
      const shard = fakeShard()
      for (let n = 1; n <= 5; n++) shard.put(n)
      shard.trimmedTo = 3
      shard.refusesTrimmed = refuses
      const poll = shard.open()
      for (let i = 0; i < 2; i++)
        await assert.rejects(poll(1), { name: 'PositionExpiredError', position: at(1), retryable: false })
      assert.deepEqual(await poll(4), [5])
    })

    test(`is none when this reader saw, less than a retention ago, that nothing followed it, ${how}`, async () => {
      const shard = fakeShard()
      shard.refusesTrimmed = refuses
      shard.put(1)
      const poll = shard.open()
      assert.deepEqual(await poll(undefined), [1])
      shard.clock.time += 20 * HOUR
      assert.deepEqual(await poll(1), [])
      shard.clock.time += 10 * HOUR
      shard.trimmedTo = 1
      shard.put(2)
      assert.deepEqual(await poll(1), [2])
    })

    test(`is one when the reader slept for longer than that, ${how}`, async () => {
      const shard = fakeShard()
      shard.refusesTrimmed = refuses
      shard.put(1)
      const poll = shard.open()
      assert.deepEqual(await poll(undefined), [1])
      shard.clock.time += 25 * HOUR
      shard.trimmedTo = 2
      shard.put(3)
      await assert.rejects(poll(1), { name: 'PositionExpiredError' })
    })
  }
})
