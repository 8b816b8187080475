import assert from 'node:assert/strict'
import type { Ports, StreamRecord } from '../../runtime/ports.ts'
import { assertBytes, bytes, noise, words } from './data.ts'
import type { Check } from './ports.ts'

/** The streams that the suite uses, each with `conformanceShards` shards, numbered from 0. */
export const conformanceStreams = [
  'order',
  'isolation',
  'after',
  'limit',
  'bytes',
  'trim',
  'empty',
  'sizes',
  'race',
  'alias',
  'time',
].map(name => `conformance-${name}`)
export const conformanceShards = 2

const POLLS_MAX = 500
const POLL_PAUSE_MS = 20

/** Polls until `count` records are there: a service may take a while to show what it has acknowledged. */
async function drain(
  ports: Ports,
  stream: string,
  shard: number,
  count: number,
  after?: string,
  limit = 100,
): Promise<StreamRecord[]> {
  const records: StreamRecord[] = []
  for (let polls = 0; records.length < count; polls++) {
    assert.ok(polls < POLLS_MAX, `${records.length} of ${count} records after ${polls} polls`)
    const more = await ports.streams.poll(stream, shard, records.at(-1)?.seq ?? after, limit)
    records.push(...more)
    if (more.length === 0) await ports.clock.sleep(POLL_PAUSE_MS)
  }
  return records
}

async function putAll(ports: Ports, stream: string, shard: number, data: readonly string[]): Promise<string[]> {
  const seqs: string[] = []
  for (const text of data) seqs.push(await ports.streams.put(stream, shard, bytes(text)))
  return seqs
}

const texts = (records: readonly StreamRecord[]) => records.map(record => words(record.data))

export function streamsConformance(check: Check): void {
  check('a shard keeps the order of puts, and put answers with the position that poll shows', async ports => {
    const sent = Array.from({ length: 25 }, (_, i) => `record ${i}`)
    const seqs = await putAll(ports, 'conformance-order', 0, sent)
    const records = await drain(ports, 'conformance-order', 0, sent.length)
    assert.deepEqual(texts(records), sent)
    assert.deepEqual(
      records.map(record => record.seq),
      seqs,
    )
  })

  check('positions have one width, and their string order is shard order', async ports => {
    const seqs = await putAll(
      ports,
      'conformance-order',
      1,
      Array.from({ length: 12 }, (_, i) => `${i}`),
    )
    assert.deepEqual(seqs.toSorted(), seqs)
    assert.equal(new Set(seqs).size, seqs.length)
    assert.deepEqual(new Set(seqs.map(seq => seq.length)).size, 1)
  })

  check('shards of a stream, and streams, do not see each other', async ports => {
    await putAll(ports, 'conformance-isolation', 0, ['a0', 'a1'])
    await putAll(ports, 'conformance-isolation', 1, ['b0'])
    await putAll(ports, 'conformance-isolation', 0, ['a2'])
    assert.deepEqual(texts(await drain(ports, 'conformance-isolation', 0, 3)), ['a0', 'a1', 'a2'])
    const second = await drain(ports, 'conformance-isolation', 1, 1)
    assert.deepEqual(texts(second), ['b0'])
    assert.deepEqual(await ports.streams.poll('conformance-isolation', 1, second[0]!.seq, 100), [])
  })

  check('poll answers with what comes after a position, and nothing after the last', async ports => {
    const seqs = await putAll(ports, 'conformance-after', 0, ['0', '1', '2', '3'])
    assert.deepEqual(texts(await drain(ports, 'conformance-after', 0, 2, seqs[1])), ['2', '3'])
    assert.deepEqual(await ports.streams.poll('conformance-after', 0, seqs[3], 100), [])
    const [later] = await putAll(ports, 'conformance-after', 0, ['4'])
    const records = await drain(ports, 'conformance-after', 0, 1, seqs[3])
    assert.deepEqual(
      records.map(record => record.seq),
      [later],
    )
  })

  check('polling again from the same position shows the same records', async ports => {
    await putAll(ports, 'conformance-after', 1, ['0', '1', '2'])
    const first = await drain(ports, 'conformance-after', 1, 3)
    assert.deepEqual(await drain(ports, 'conformance-after', 1, 3), first)
  })

  check('poll answers with at most `limit` records, and going on from the last misses none', async ports => {
    const sent = Array.from({ length: 10 }, (_, i) => `${i}`)
    await putAll(ports, 'conformance-limit', 0, sent)
    await drain(ports, 'conformance-limit', 0, sent.length)
    assert.ok((await ports.streams.poll('conformance-limit', 0, undefined, 3)).length <= 3)
    assert.deepEqual(texts(await drain(ports, 'conformance-limit', 0, sent.length, undefined, 3)), sent)
    assert.deepEqual(texts(await drain(ports, 'conformance-limit', 0, sent.length, undefined, 1)), sent)
  })

  check('poll keeps to about `maxBytes`, but a record larger than that still comes', async ports => {
    const size = 10_000
    for (let i = 0; i < 6; i++) await ports.streams.put('conformance-bytes', 0, noise(size, i + 1))
    const all = await drain(ports, 'conformance-bytes', 0, 6)
    for (const maxBytes of [1, size, size + 1, 3 * size]) {
      const seen: StreamRecord[] = []
      for (let polls = 0; seen.length < 6; polls++) {
        assert.ok(polls < POLLS_MAX, 'maxBytes must not stop a consumer')
        const some = await ports.streams.poll('conformance-bytes', 0, seen.at(-1)?.seq, 100, maxBytes)
        assert.ok(
          some.slice(0, -1).reduce((sum, record) => sum + record.data.byteLength, 0) < maxBytes,
          `far above ${maxBytes} bytes`,
        )
        seen.push(...some)
      }
      assert.deepEqual(seen, all)
    }
  })

  check('trim takes nothing after its position, is idempotent, and positions are never used twice', async ports => {
    const stream = 'conformance-trim'
    const seqs = await putAll(ports, stream, 0, ['0', '1', '2', '3'])
    await ports.streams.trim(stream, 0, seqs[1]!)
    await ports.streams.trim(stream, 0, seqs[1]!)
    await ports.streams.trim(stream, 0, seqs[0]!)
    assert.deepEqual(texts(await drain(ports, stream, 0, 2, seqs[1])), ['2', '3'])
    await ports.streams.trim(stream, 0, seqs[3]!)
    const [next] = await putAll(ports, stream, 0, ['4'])
    assert.ok(next! > seqs[3]!, 'a position after everything trimmed')
    assert.deepEqual(texts(await drain(ports, stream, 0, 1, seqs[3])), ['4'])
  })

  check('trim leaves the other shards alone', async ports => {
    await putAll(ports, 'conformance-trim', 1, ['other'])
    const [seq] = await putAll(ports, 'conformance-trim', 0, ['mine'])
    await ports.streams.trim('conformance-trim', 0, seq!)
    assert.deepEqual(texts(await drain(ports, 'conformance-trim', 1, 1)), ['other'])
  })

  check('a shard that nothing was put into is empty, and can be trimmed', async ports => {
    assert.deepEqual(await ports.streams.poll('conformance-empty', 0, undefined, 100), [])
    const [seq] = await putAll(ports, 'conformance-empty', 1, ['x'])
    await ports.streams.trim('conformance-empty', 0, seq!)
    assert.deepEqual(await ports.streams.poll('conformance-empty', 0, undefined, 100), [])
  })

  check('records of no bytes, one byte and 300 KB come back whole', async ports => {
    const sent = [noise(0), noise(1), noise(300_000), noise(0), noise(30_000)]
    for (const data of sent) await ports.streams.put('conformance-sizes', 0, data)
    const records = await drain(ports, 'conformance-sizes', 0, sent.length)
    for (const [i, data] of sent.entries()) assertBytes(records[i]!.data, data, `record ${i}`)
  })

  check('a view into a larger buffer is put as the view', async ports => {
    const whole = noise(1000)
    await ports.streams.put('conformance-sizes', 1, whole.subarray(100, 200))
    const [record] = await drain(ports, 'conformance-sizes', 1, 1)
    assertBytes(record!.data, whole.slice(100, 200))
  })

  check('concurrent puts all land, each once, where their answers say', async ports => {
    const seqs = await Promise.all(Array.from({ length: 50 }, (_, i) => ports.streams.put('conformance-race', 0, bytes(`${i}`))))
    const records = await drain(ports, 'conformance-race', 0, 50)
    assert.deepEqual(
      new Map(records.map(record => [record.seq, words(record.data)])),
      new Map(seqs.map((seq, i) => [seq, `${i}`])),
    )
  })

  check('a record shares no memory with the caller or with another answer', async ports => {
    const data = noise(100)
    await ports.streams.put('conformance-alias', 0, data)
    data.fill(0)
    const [first] = await drain(ports, 'conformance-alias', 0, 1)
    assertBytes(first!.data, noise(100))
    first!.data.fill(0)
    assertBytes((await drain(ports, 'conformance-alias', 0, 1))[0]!.data, noise(100))
    const buffer = Buffer.from(noise(100)) // its slice() is a view, unlike Uint8Array's
    await ports.streams.put('conformance-alias', 1, buffer)
    buffer.fill(0)
    assertBytes((await drain(ports, 'conformance-alias', 1, 1))[0]!.data, noise(100))
  })

  check('arrivedAt is about the time of the put', async ports => {
    const start = ports.clock.now()
    await putAll(ports, 'conformance-time', 0, ['x'])
    const [record] = await drain(ports, 'conformance-time', 0, 1)
    assert.ok(Math.abs(record!.arrivedAt - start) < 60_000, `${record!.arrivedAt} at ${start}`)
  })
}
