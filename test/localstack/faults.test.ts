import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { awsClearing } from '../../runtime/aws/clearing.ts'
import { type AwsPorts, awsPorts } from '../../runtime/aws/ports.ts'
import { bytes, words } from '../conformance/data.ts'
import { portsConformance } from '../conformance/ports.ts'
import { conformanceShards, conformanceStreams } from '../conformance/streams.ts'
import { type FaultyProxy, openFaultyProxy } from './faulty-proxy.ts'
import { type AwsFixture, endpoint, openAwsFixture, withoutLocalStack } from './resources.ts'

/**
 * If an answer is lost, the call is repeated on what it did itself: a conditional put that asked nobody who wrote would say "lost", the attempt would throw its own commit away.
 * The same sentences hold as without faults; only a record that is put twice is no error (a call that failed may have landed), so PutRecord is only throttled.
 */
const faults = { throttled: 0.05, answerLost: 0.05, answered: ['PutRecord'] }

if (withoutLocalStack) {
  describe('the AWS ports on LocalStack, with faults', () => test('keep the contract', { skip: withoutLocalStack }, () => {}))
} else {
  let counts: { throttled: number; lost: number } | undefined
  portsConformance('AWS, on LocalStack with throttling and lost answers,', async () => {
    const fixture = await openAwsFixture(conformanceStreams, conformanceShards)
    const proxy = await openFaultyProxy(endpoint!, faults, 1)
    const options = { ...fixture.options, endpoint: proxy.endpoint }
    const [ports, clearing] = [awsPorts(options), awsClearing(options)]
    const close = async () => {
      counts = proxy.counts
      ports.close()
      clearing.close()
      await proxy.close()
      await fixture.close()
    }
    return { ports, clearing, close }
  })
  after(() => {
    if (counts === undefined) return
    assert.ok(counts.throttled > 100 && counts.lost > 100, `the proxy did next to nothing: ${JSON.stringify(counts)}`)
  })
}

describe('a call whose answer is lost', { skip: withoutLocalStack }, () => {
  let fixture: AwsFixture
  let proxy: FaultyProxy
  let ports: AwsPorts
  before(async () => {
    fixture = await openAwsFixture(['run/lost'], 1)
    proxy = await openFaultyProxy(endpoint!, { throttled: 0, answerLost: 0.5 }, 1)
    ports = awsPorts({ ...fixture.options, endpoint: proxy.endpoint })
  })
  after(async () => {
    ports?.close()
    await proxy?.close()
    await fixture?.close()
  })
  const tries = Array.from({ length: 20 }, (_, i) => i + 1)

  test('knows that the slot holds what it wrote itself', async () => {
    for (const version of tries) assert.equal(await ports.log.putIfAbsent('log', version, bytes('mine')), true)
    for (const version of tries) assert.equal(await ports.log.putIfAbsent('log', version, bytes('mine')), false)
  })

  test('knows that the object is what it wrote itself', async () => {
    for (const key of tries) assert.equal(await ports.blobs.putIfAbsent(`lost/${key}`, bytes('mine')), true)
    for (const key of tries) assert.equal(await ports.blobs.putIfAbsent(`lost/${key}`, bytes('mine')), false)
  })

  test('leaves the value that lies outside, and no other', async () => {
    for (const v of tries) {
      await ports.store.upsert([{ pk: 'lost', sk: 'large', v, value: new Uint8Array(500_000).fill(v) }])
      const [item] = await fixture.ports.store.batchGet([{ pk: 'lost', sk: 'large' }])
      assert.deepEqual([item?.v, item?.value?.length, item?.value?.[0]], [v, 500_000, v])
    }
    assert.equal((await fixture.ports.blobs.list('values/')).length, 1)
  })

  test('may put a record twice, in order, and answers with a position that it has', async () => {
    const seqs: string[] = []
    for (const i of tries) seqs.push(await ports.streams.put('run/lost', 0, bytes(String(i))))
    const records = await fixture.ports.streams.poll('run/lost', 0, undefined, 1000)
    const numbers = records.map(record => Number(words(record.data)))
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      numbers,
    )
    assert.deepEqual([...new Set(numbers)], tries)
    assert.ok(numbers.length > tries.length, 'no record was put twice: the proxy lost nothing')
    const known = new Map(records.map(record => [record.seq, Number(words(record.data))]))
    assert.deepEqual(
      seqs.map(seq => known.get(seq)),
      tries,
    )
  })
})
