import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { crc32, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { SnapshotError } from '../../runtime/snapshot/error.ts'
import { keyHash, mayHave } from '../../runtime/snapshot/filter.ts'
import { joinAddress, type SnapshotItem, splitAddress } from '../../runtime/snapshot/item.ts'
import { ItemWriter } from '../../runtime/snapshot/item-writer.ts'
import { addRun, mergeRuns, type Runs, RunWriter } from '../../runtime/snapshot/runs.ts'
import { readSegment, SegmentWriter } from '../../runtime/snapshot/segment.ts'
import { decodeIndex, readBlock } from '../../runtime/snapshot/segment-index.ts'

/** Keys as wild as users': NULs, halves of surrogate pairs, separators. */
const text = fc.string({
  unit: fc.oneof(fc.constantFrom('\0', '\ud800', '\udc00', '|', 'a', 'n', 'é', '😀'), fc.string({ maxLength: 3 })),
})
const address = fc.tuple(
  text,
  text.filter(sk => sk.length > 0),
)
const entry = fc.record({
  address,
  value: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }),
  expiry: fc.option(fc.double({ noNaN: true }), { nil: undefined }),
})
type Entry = typeof entry extends fc.Arbitrary<infer T> ? T : never

/** As a fold gives them: one item for each address, in order. */
function sorted(entries: readonly Entry[]): SnapshotItem[] {
  const items = new Map<string, SnapshotItem>()
  for (const { address, value, expiry } of entries) {
    const joined = joinAddress(...address)
    items.set(joined, { address: joined, value, ...(expiry !== undefined && { expiry }) })
  }
  return [...items.values()].sort((a, b) => (a.address < b.address ? -1 : 1))
}

const plain = (items: Iterable<SnapshotItem>) => Array.from(items, i => ({ ...i, value: i.value && [...i.value] }))

function segmentOf(items: readonly SnapshotItem[]): Uint8Array {
  const writer = new SegmentWriter()
  for (const item of items) writer.add(item)
  return writer.finish().bytes
}

/** As they were written before there were blocks. */
function wholeSegmentOf(items: readonly SnapshotItem[]): Uint8Array {
  const writer = new ItemWriter()
  for (const item of items) writer.add(Buffer.from(item.address), item)
  const { length } = writer
  const body = zstdCompressSync(writer.take())
  const header = Buffer.alloc(28)
  for (const [i, n] of [0x4753524d, 1, 28 + body.length, items.length, length, crc32(body)].entries())
    header.writeUInt32LE(n, 4 * i)
  header.writeUInt32LE(crc32(header.subarray(0, 24)), 24)
  return Buffer.concat([header, body])
}

describe('segments', () => {
  test('addresses: one string for two, and back, in the order of both', () => {
    fc.assert(
      fc.property(address, address, (a, b) => {
        const [x, y] = [joinAddress(...a), joinAddress(...b)]
        assert.deepEqual(splitAddress(x), { pk: a[0], sk: a[1] })
        assert.equal(x === y, a[0] === b[0] && a[1] === b[1])
        assert.ok(x.isWellFormed())
      }),
      { numRuns: 500 },
    )
  })

  test('a segment gives back what was written', () => {
    fc.assert(
      fc.property(fc.array(entry), entries => {
        const items = sorted(entries)
        assert.deepEqual(plain(readSegment(segmentOf(items), 's')), plain(items))
      }),
    )
  })

  test('a segment of format 1, without an index, is read as well', () => {
    fc.assert(
      fc.property(fc.array(entry), entries => {
        const items = sorted(entries)
        assert.deepEqual(plain(readSegment(wholeSegmentOf(items), 's')), plain(items))
      }),
    )
  })

  test('a segment of many blocks: each can be read by itself, and the filter has all that is there and little else', () => {
    const addresses = Array.from({ length: 8_000 }, (_, i) => `k${String(i).padStart(6, '0')}`)
    const writer = new SegmentWriter()
    for (const pk of addresses) writer.add({ address: joinAddress(pk, 'v'), value: Buffer.from(`${pk} and some more`) })
    const { bytes, first, index, items } = writer.finish()
    assert.deepEqual([first, items], [joinAddress('k000000', 'v'), 8_000])
    const { blocks, filter } = decodeIndex(bytes.subarray(index), 's')
    assert.ok(blocks.length > 3)
    const read = blocks.flatMap(b => [...readBlock(bytes.subarray(b.offset, b.offset + b.bytes), b, 's')])
    assert.deepEqual(plain(read), plain(readSegment(bytes, 's')))
    for (const block of blocks) assert.ok(read.some(item => item.address === block.first))
    const has = (text: string) => mayHave(filter, keyHash(Buffer.from(text)))
    for (const pk of addresses) assert.ok(has(joinAddress(pk, 'v')) && has(joinAddress(pk, '')))
    const wrong = addresses.filter(pk => has(joinAddress(pk, 'w')) || has(joinAddress(`${pk}x`, '')))
    assert.ok(wrong.length < 400, `${wrong.length} of 16,000 that are not there were let through`)
  })

  test('damage anywhere is an error that names the segment', () => {
    const items = sorted(fc.sample(entry, { numRuns: 30, seed: 1 }))
    const segment = segmentOf(items)
    fc.assert(
      fc.property(fc.nat(segment.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, mask, cut) => {
        const bad = cut ? segment.slice(0, at) : segment.slice()
        if (!cut) bad[at]! ^= mask
        assert.throws(
          () => [...readSegment(bad, 'the/blob')],
          error => error instanceof SnapshotError && error.message.includes('the/blob'),
        )
      }),
      { numRuns: 1000 },
    )
  })

  test('what is deleted in runs that lie over others stays deleted when they are merged', async () => {
    const ports = await openEmbedded()
    const runOf = async (value: Uint8Array | undefined, i: number) => {
      const writer = new RunWriter(ports, 'run')
      await writer.add({ address: joinAddress('k', 'v'), value })
      await writer.add({ address: joinAddress(`other ${i}`, 'v'), value: new Uint8Array([i]) })
      return writer.finish()
    }
    const below = [await runOf(new Uint8Array([1]), 0)]
    let above: Runs = []
    // So many that they are merged, more than once.
    for (let i = 0; i < 20; i++) {
      above = await addRun(ports, 'run', above, await runOf(undefined, i), { hides: true })
      const found = await Array.fromAsync(mergeRuns(ports.blobs, [...below, ...above]))
      assert.equal(found.find(item => item.address === joinAddress('k', 'v'))!.value, undefined)
    }
  })

  test('runs merged and added one by one hold what a map holds, in order, and stay few', async () => {
    const small = fc.record({ ...{ value: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }) }, key: fc.nat(60) })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(small, { minLength: 1 }), { maxLength: 40 }), async flushes => {
        const ports = await openEmbedded()
        const model = new Map<string, Uint8Array | undefined>()
        let runs: Runs = []
        for (const flush of flushes) {
          const entries = flush.map(({ key, value }): Entry => ({ address: [`k${key}`, 'v'], value, expiry: undefined }))
          const writer = new RunWriter(ports, 'run')
          for (const item of sorted(entries)) await writer.add(item)
          runs = await addRun(ports, 'run', runs, await writer.finish())
          for (const { address, value } of entries) model.set(joinAddress(...address), value)
        }
        const found = await Array.fromAsync(mergeRuns(ports.blobs, runs))
        assert.deepEqual(
          found.map(f => f.address),
          found.map(f => f.address).sort(),
        )
        const living = (pairs: Iterable<readonly [string, Uint8Array | undefined]>) =>
          [...pairs]
            .filter(([, value]) => value !== undefined)
            .map(([a, value]) => `${a}=${[...value!]}`)
            .sort()
        assert.deepEqual(living(found.map(f => [f.address, f.value] as const)), living(model))
        assert.ok(runs.length < 8, `${runs.length} runs`)
        await ports.close()
      }),
      { numRuns: 50 },
    )
  })

  test('what was overwritten, deleted or has expired takes no more room than half of what is alive', async () => {
    const ports = await openEmbedded()
    const value = () => randomBytes(300)
    const runOf = async (from: number, to: number, item: (i: number) => Pick<SnapshotItem, 'value' | 'expiry'>) => {
      const writer = new RunWriter(ports, 'run')
      for (let i = from; i < to; i++)
        await writer.add({ address: joinAddress(`k${String(i).padStart(6, '0')}`, 'v'), ...item(i) })
      return writer.finish()
    }
    const stored = (runs: Runs) => runs.flat().reduce((sum, { items }) => sum + items, 0)
    const isExpired = ({ expiry = Number.POSITIVE_INFINITY }: SnapshotItem) => expiry <= 1
    let runs: Runs = await addRun(ports, 'run', [], await runOf(0, 1000, () => ({ value: value(), expiry: 2 })), { isExpired })
    for (let i = 0; i < 20; i++) {
      runs = await addRun(ports, 'run', runs, await runOf(i * 40, (i + 1) * 40, () => ({ value: value() })), { isExpired })
      assert.ok(stored(runs) < 1500, `${stored(runs)} items of 1000`)
    }
    for (let i = 0; i < 7; i++)
      runs = await addRun(ports, 'run', runs, await runOf(i * 100, (i + 1) * 100, () => ({ value: undefined })))
    assert.ok(stored(runs) < 700, `${stored(runs)} items, of which 300 are alive`)
    // Half of what is left, and as much again, has expired: nothing of it stays, and nothing else goes.
    runs = await addRun(ports, 'run', runs, await runOf(700, 1300, i => ({ value: value(), expiry: i < 1000 ? 1 : 2 })), {
      isExpired,
    })
    const found = await Array.fromAsync(mergeRuns(ports.blobs, runs))
    assert.deepEqual([found.length, found[0]!.address], [300, joinAddress('k001000', 'v')])
    // With something older elsewhere, what has expired hides it.
    const over = await runOf(0, 600, () => ({ value: value(), expiry: 1 }))
    const hiding = await addRun(ports, 'run', [await runOf(0, 600, () => ({ value: value() }))], over, { isExpired, hides: true })
    assert.equal(stored(hiding), 600)
    await ports.close()
  })

  test('large runs are cut into segments of bounded size, and merges write about log(state) times as much', async () => {
    const ports = await openEmbedded()
    let written = 0
    const put = (key: string, data: Uint8Array) => {
      written += data.length
      return ports.blobs.put(key, data)
    }
    const counting = { ...ports, blobs: { ...ports.blobs, put } }
    let runs: Runs = []
    let added = 0
    const noise = randomBytes(2000)
    for (let flush = 0; flush < 30; flush++) {
      const writer = new RunWriter(counting, 'run')
      const before = written
      for (let i = 0; i < 5000; i++) {
        const n = (i * 30 + flush) % 150_000
        await writer.add({
          address: joinAddress(`k${String(n).padStart(8, '0')}`, 'v'),
          value: noise.subarray(n % 1900, (n % 1900) + 100),
        })
      }
      const run = await writer.finish()
      added += written - before
      runs = await addRun(counting, 'run', runs, run)
    }
    assert.ok(runs.flat().every(s => s.bytes < 3 * 1024 * 1024))
    assert.ok(written < 5 * added, `${written} bytes written for ${added}`)
    let items = 0
    for await (const _ of mergeRuns(ports.blobs, runs)) items++
    assert.equal(items, 150_000)
    await ports.close()
  })
})
