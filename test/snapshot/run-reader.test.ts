import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { diskCache } from '../../runtime/aws/functions/disk-cache.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { joinAddress, type SnapshotItem } from '../../runtime/snapshot/item.ts'
import { RunReader } from '../../runtime/snapshot/run-reader.ts'
import { addRun, type Runs, RunWriter } from '../../runtime/snapshot/runs.ts'
import { type CacheDisk, SegmentCache, SegmentGoneError } from '../../runtime/snapshot/segment-cache.ts'

const PKS = ['op|a', 'op|b', 'op|b\0', 'op|c😀', 'op|\ud800']
const SKS = ['', 'm|x|1', 'm|x|2', 'm|x|2\0', 'm|x|\ud800', 'm|x|😀', 'm|x|\uffee', 'v|y']

const place = fc.tuple(fc.constantFrom(...PKS), fc.constantFrom(...SKS))
/** Values of some thousand bytes, so that there are several blocks. */
const change = fc.record({
  place,
  bytes: fc.option(fc.constantFrom(0, 3, 9_000, 40_000), { nil: undefined }),
  expiry: fc.option(fc.nat(9), { nil: undefined }),
})
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

const itemOf = ({ place: [pk, sk], bytes, expiry }: Change, n: number): SnapshotItem => ({
  address: joinAddress(pk, sk),
  value: bytes === undefined ? undefined : new Uint8Array(bytes).fill(n),
  ...(expiry !== undefined && { expiry }),
})

const plain = (item: SnapshotItem | undefined) =>
  item && `${item.address} ${item.value && `${item.value.length} of ${item.value[0]}`} ${item.expiry}`

async function written(ports: Awaited<ReturnType<typeof openEmbedded>>, flushes: readonly (readonly Change[])[]) {
  const model = new Map<string, SnapshotItem>()
  let runs: Runs = []
  for (const [n, flush] of flushes.entries()) {
    const items = new Map(flush.map(c => [joinAddress(...c.place), itemOf(c, n)]))
    const writer = new RunWriter(ports, 'run')
    for (const address of [...items.keys()].sort()) await writer.add(items.get(address)!)
    runs = await addRun(ports, 'run', runs, await writer.finish())
    for (const [address, item] of items) model.set(address, item)
  }
  return { runs, model }
}

const all = PKS.flatMap(pk => SKS.map(sk => joinAddress(pk, sk)))
const isThere = (item: SnapshotItem | undefined) => item?.value !== undefined

for (const bytesMax of [0, 30_000, 10_000_000])
  test(`runs are read by address and in ranges as a map would be, with ${bytesMax} bytes of cache`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(change, { minLength: 1, maxLength: 12 }), { maxLength: 12 }),
        fc.tuple(place, place, fc.integer({ min: 1, max: 5 })),
        async (flushes, [[pk, from], [, to], limit]) => {
          const ports = await openEmbedded()
          const { runs, model } = await written(ports, flushes)
          const reader = new RunReader(runs, ports.blobs, new SegmentCache({ bytesMax }))
          const found = await reader.find(all)
          for (const [i, item] of found.entries()) {
            const expected = model.get(all[i]!)
            // What was deleted may have gone for good.
            if (item !== undefined || isThere(expected)) assert.equal(plain(item), plain(expected))
          }
          const [first, end] = [joinAddress(pk, from), joinAddress(pk, to)]
          const within = [...model.keys()].filter(a => a >= first && a < end).sort()
          const range = await reader.range(joinAddress(pk, ''), first, end, 100)
          assert.deepEqual(
            range.filter(isThere).map(plain),
            within
              .map(a => model.get(a))
              .filter(isThere)
              .map(plain),
          )
          const page = await reader.range(joinAddress(pk, ''), first, end, limit)
          assert.deepEqual(page.map(plain), range.slice(0, limit).map(plain))
          await ports.close()
        },
      ),
      { numRuns: 60 },
    )
  })

/** 60,000 items, of which two runs have a half each, in several segments of many blocks. */
async function large() {
  const ports = await openEmbedded()
  const reads: string[] = []
  const blobs = {
    ...ports.blobs,
    getRange: (key: string, from: number, to: number) => {
      reads.push(`${key}:${from}-${to}`)
      return ports.blobs.getRange(key, from, to)
    },
  }
  const runs = []
  for (const odd of [0, 1]) {
    const writer = new RunWriter(ports, 'run')
    for (let i = odd; i < 60_000; i += 2)
      await writer.add({ address: addressOf(i), value: Buffer.from(`value ${i} `.repeat(10)) })
    runs.push(await writer.finish())
  }
  return { ports, blobs, runs, reads }
}

const addressOf = (i: number) => joinAddress(`op|k${String(i).padStart(6, '0')}`, 'v|n')

test('of one address an index and a block are read, and the other run is left out', async () => {
  const { ports, blobs, runs, reads } = await large()
  assert.ok(runs[0]!.length > 1)
  const reader = new RunReader(runs, blobs, new SegmentCache({ bytesMax: 100_000_000 }))
  const [item] = await reader.find([addressOf(31_234)])
  assert.equal(item!.value!.toString(), 'value 31234 '.repeat(10))
  assert.equal(reads.length, 3, 'two indexes and a block')
  await reader.find([addressOf(31_236)])
  assert.equal(reads.length, 3)
  const [none] = await reader.find([joinAddress('op|k031234', 'v|other')])
  assert.equal(none, undefined)
  for (let i = 0; i < 60_000; i += 7_919) {
    const [found] = await reader.range(joinAddress(`op|k${String(i).padStart(6, '0')}`, ''), addressOf(i), `${addressOf(i)}~`, 9)
    assert.equal(found!.value!.toString(), `value ${i} `.repeat(10))
  }
  await ports.close()
})

test('the cache keeps within its bounds, its disk gives back what memory has forgotten, and what the disk has damaged is read again', async () => {
  const { ports, blobs, runs, reads } = await large()
  const addresses = Array.from({ length: 400 }, (_, i) => addressOf(i * 149))
  let damage = false
  const kept = new Map<string, Uint8Array>()
  const disk: CacheDisk = {
    get: async name => (damage ? kept.get(name)?.map(b => b ^ 1) : kept.get(name)),
    put: async (name, bytes) => void kept.set(name, bytes),
  }
  const cache = new SegmentCache({ bytesMax: 200_000, disk })
  const reader = new RunReader(runs, blobs, cache)
  const first = await reader.find(addresses)
  const read = reads.length
  assert.ok((cache as unknown as { bytes: number }).bytes <= 200_000)
  assert.deepEqual(await reader.find(addresses), first)
  assert.equal(reads.length, read, 'the disk has them')
  damage = true
  assert.deepEqual(await reader.find(addresses), first)
  assert.ok(reads.length > read)
  await ports.close()
})

test('a segment that is gone is told from one that has no such item', async () => {
  const { ports, runs } = await large()
  for (const { blob } of runs[1]!) await ports.blobs.delete(blob)
  const reader = new RunReader(runs, ports.blobs, new SegmentCache({ bytesMax: 0 }))
  await assert.rejects(reader.find([addressOf(8)]), SegmentGoneError)
  await ports.close()
})

test('the cache on a disk gives back what was put last, whatever was overwritten, and a disk that fails is done without', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const disk = diskCache({ directory, bytesMax: 1_000 })
  const bytes = (n: number) => new Uint8Array(1 + ((n * 37) % 120)).fill(n)
  for (let n = 0; n < 500; n++) {
    await disk.put(`b${n}`, bytes(n))
    let remembered = 0
    for (let m = Math.max(0, n - 40); m <= n; m++) {
      const found = await disk.get(`b${m}`)
      if (found === undefined) continue
      assert.deepEqual(found, bytes(m))
      remembered += found.length
    }
    assert.ok(remembered <= 1_000)
    if (n > 40) assert.ok(remembered > 700, `${remembered} bytes`)
  }
  await disk.put('too large', new Uint8Array(600))
  assert.equal(await disk.get('too large'), undefined)
  await disk.close()
  assert.equal(await disk.get('b499'), undefined)
  const broken = diskCache({ directory: join(directory, 'not there') })
  await broken.put('x', bytes(1))
  assert.equal(await broken.get('x'), undefined)
})
