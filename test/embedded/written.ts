import assert from 'node:assert/strict'
import type { Ports } from '../../runtime/ports.ts'
import { assertBytes, noise } from '../conformance/data.ts'

const PAYLOAD_BYTES = 2000

/** What writer.ts writes as number `i`. */
export const payload = (i: number): Uint8Array => noise(PAYLOAD_BYTES, i + 1)
export const isBlob = (i: number): boolean => i % 10 === 0

/** How far the writer got in each port, having checked that each holds everything up to there and nothing more. */
export async function written(
  ports: Ports,
): Promise<{ stream: number; log: number; store: number; blobs: number; replaced: number }> {
  const log = await ports.log.range('l', 0, 1e9)
  for (const [i, slot] of log.entries()) {
    assert.equal(slot.version, i, 'the log has no hole')
    assertBytes(slot.item, payload(i), `slot ${i}`)
  }
  const keys = (await ports.store.range('p', 'k', 'l', 1e9)).sort((a, b) => a.v - b.v)
  for (const [i, item] of keys.entries()) {
    assert.equal(item.sk, `k${i}`, 'the store has no hole')
    assertBytes(item.value, payload(i), item.sk)
  }
  const [latest] = await ports.store.batchGet([{ pk: 'p', sk: 'latest' }])
  assert.equal(latest?.v ?? 0, keys.length, 'both items of an upsert, or neither')
  const blobs = (await ports.blobs.list('b/')).map(key => Number(key.slice(2))).sort((a, b) => a - b)
  for (const [n, i] of blobs.entries()) {
    assert.equal(i, n * 10)
    assertBytes(await ports.blobs.get(`b/${i}`), noise(i % 50 === 0 ? 300_000 : 1000, i + 1), `object ${i}`)
  }
  const replaced = await ports.blobs.get('replaced')
  const holds = [blobs.length - 1, blobs.length - 2].find(
    n => n >= 0 && replaced && Buffer.compare(replaced, noise(300_000, n * 10 + 1)) === 0,
  )
  assert.ok(blobs.length < 2 || !replaced || holds !== undefined, 'the replaced object is whole')
  return { stream: await streamEnd(ports), log: log.length, store: keys.length, blobs: blobs.length, replaced: (holds ?? -1) + 1 }
}

/** Both shards in order; a record may be there twice, when a writer was killed behind its put and the next began there again. */
async function streamEnd(ports: Ports): Promise<number> {
  const seen = new Set<string>()
  for (const shard of [0, 1]) {
    const records = await ports.streams.poll('s', shard, undefined, 1e9)
    for (const [i, record] of records.entries()) {
      assert.equal(record.data.byteLength, PAYLOAD_BYTES)
      if (i > 0) assert.equal(Number(record.seq), Number(records[i - 1]!.seq) + 1, 'positions have no hole')
      seen.add(Buffer.from(record.data).toString('latin1'))
    }
  }
  for (let i = 0; i < seen.size; i++) assert.ok(seen.has(Buffer.from(payload(i)).toString('latin1')), `record ${i}`)
  return seen.size
}
