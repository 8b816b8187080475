import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dynamodbLog } from '../../runtime/aws/log.ts'
import { dynamodbStore } from '../../runtime/aws/store.ts'
import { openTable } from '../../runtime/aws/table.ts'
import type { Blobs } from '../../runtime/ports.ts'
import { fakeCalls, fakeClient, serviceError } from './fakes.ts'

const noSpill = {} as Blobs as any

function open(answer: (name: string, input: any) => unknown) {
  const calls = fakeCalls()
  const table = openTable('t', fakeClient(answer), calls.call, calls.clock, calls.random)
  return { table, log: dynamodbLog(table, calls.random), store: dynamodbStore(table, noSpill), ...calls }
}

/** Answers a BatchGetItem for the keys that `processed` picks; the others are left. */
function answering(processed: (index: number) => boolean, attributes: object) {
  return (_: string, input: any) => {
    const { Keys } = input.RequestItems.t
    const rows = Keys.filter((_: unknown, i: number) => processed(i)).map((key: object) => ({ ...key, ...attributes }))
    const left = Keys.filter((_: unknown, i: number) => !processed(i))
    return {
      Responses: { t: rows },
      UnprocessedKeys: left.length > 0 ? { t: { Keys: left } } : {},
      ConsumedCapacity: [{ CapacityUnits: 3 }],
    }
  }
}

const addresses = Array.from({ length: 10 }, (_, i) => ({ pk: 'p', sk: `${i}` }))

describe('keys that DynamoDB leaves unprocessed', () => {
  test("are 'unknown' to the log's reader, not absent (B4)", async () => {
    const { log } = open(answering(i => i !== 1, { item: { B: new Uint8Array([1]) } }))
    const slots = [1, 2, 3, 2].map(version => ({ log: 'l', version }))
    assert.deepEqual(await log.batchGet(slots), [new Uint8Array([1]), 'unknown', new Uint8Array([1]), 'unknown'])
  })

  test('are asked again for the state, at once as long as some come', async () => {
    const { store, clock, meters } = open(answering(i => i < 4, { v: { N: '1' } }))
    const items = await store.batchGet(addresses)
    assert.deepEqual(
      items.map(item => item?.sk),
      addresses.map(address => address.sk),
    )
    assert.deepEqual(clock.sleeps, [])
    assert.equal(meters.stats()['dynamodb.BatchGetItem.readUnits'], 9)
  })

  test('all of them, again and again, are throttling', async () => {
    const { store, clock } = open(answering(() => false, {}))
    await assert.rejects(store.batchGet(addresses), { name: 'ThrottledError', resource: 'table t', retryable: true })
    assert.equal(clock.sleeps.length, 11)
  })

  test('of a deletion are deleted in the end', async () => {
    let calls = 0
    const deleted: string[] = []
    const { log } = open((name, input) => {
      if (name === 'GetItemCommand') return { Item: { floor: { N: '100' } } }
      if (name === 'QueryCommand')
        return { Items: Array.from({ length: 60 }, (_, i) => ({ pk: { S: 'l' }, sk: { S: String(i).padStart(16, '0') } })) }
      const requests = input.RequestItems.t
      assert.ok(requests.length <= 25)
      const left = calls++ % 2 === 0 ? requests.slice(5) : []
      for (const { DeleteRequest } of requests)
        if (!left.some((l: any) => l.DeleteRequest === DeleteRequest)) deleted.push(DeleteRequest.Key.sk.S)
      return { UnprocessedItems: left.length > 0 ? { t: left } : {} }
    })
    await log.expire('l', 0, 60)
    assert.equal(new Set(deleted).size, 60)
  })
})

describe('what DynamoDB could not take', () => {
  test('a commit above 400 KB is refused by name, before it is sent', async () => {
    const { log } = open(() => assert.fail('sent'))
    await assert.rejects(log.putIfAbsent('run/stage/3', 7, new Uint8Array(410_000)), {
      name: 'TooLargeError',
      message: /commit 7 of log run\/stage\/3 has 4\d{5} bytes, and table t takes 409600/,
    })
  })

  test('a key that is too long or no Unicode is refused by name', async () => {
    const { store } = open(() => assert.fail('sent'))
    for (const address of [
      { pk: 'x'.repeat(3000), sk: 'a' },
      { pk: 'a', sk: 'é'.repeat(600) },
      { pk: '\ud800', sk: 'a' },
    ]) {
      await assert.rejects(store.batchGet([address]), { name: 'PortArgumentError' })
      await assert.rejects(store.upsert([{ ...address, v: 1, value: undefined }]), { name: 'PortArgumentError' })
    }
  })
})

describe('an upsert', () => {
  test('of which one item fails begins no further ones, and fails when none is under way any more', async () => {
    let underWay = 0
    let sent = 0
    const { store } = open(async () => {
      sent++
      underWay++
      await new Promise(resolve => setTimeout(resolve, 5))
      underWay--
      if (sent >= 3) throw serviceError('ValidationException')
      return {}
    })
    const items = Array.from({ length: 500 }, (_, i) => ({ pk: 'p', sk: `${i}`, v: 1, value: undefined }))
    await assert.rejects(store.upsert(items), { name: 'RequestRefusedError' })
    assert.equal(underWay, 0)
    assert.ok(sent <= 64, `${sent} requests`)
  })

  test('counts the units that DynamoDB says, and a failed condition like a write', async () => {
    let puts = 0
    const { store, meters } = open(() => {
      if (puts++ === 0) return { ConsumedCapacity: { CapacityUnits: 5 } }
      throw Object.assign(serviceError('ConditionalCheckFailedException'), { Item: { v: { N: '9' } } })
    })
    await store.upsert([{ pk: 'p', sk: 'a', v: 1, value: new Uint8Array(5000) }])
    await store.upsert([{ pk: 'p', sk: 'a', v: 1, value: new Uint8Array(5000) }])
    assert.equal(meters.stats()['dynamodb.PutItem.writeUnits'], 10)
  })

  test('counts what calls under way at the same time take, each', async () => {
    const { store, meters } = open(async () => {
      await new Promise(resolve => setTimeout(resolve, 1))
      return { ConsumedCapacity: { CapacityUnits: 2 } }
    })
    await store.upsert(Array.from({ length: 50 }, (_, i) => ({ pk: 'p', sk: `${i}`, v: 1, value: undefined })))
    assert.equal(meters.stats()['dynamodb.PutItem.writeUnits'], 100)
  })
})
