import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { StateCorruptError, StateFormatError } from '../../runtime/embedded/errors.ts'
import { type EmbeddedPorts, openEmbedded } from '../../runtime/embedded/ports.ts'
import { noise } from '../conformance/data.ts'
import { seeded } from '../engine/events.ts'

const FLIPS = Number(process.env.FLIPS ?? 250)
const LOGS = ['a', 'b/0', 'b/1']
const PKS = ['counts|0', 'counts|1', 'x']
const PER_PK = 300

describe('a bit that flips in a state directory is an error by name, or changes nothing that is read', () => {
  let directory: string
  let file: string
  let good: Buffer
  let expected: unknown[]
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'millrace-flips-'))
    file = join(directory, 'state.db')
    const ports = await openEmbedded({ directory })
    await fill(ports)
    expected = await contents(ports)
    await ports.close()
    good = await readFile(file)
  })
  after(() => rm(directory, { recursive: true }))

  async function withFlip(name: string, bytes: Buffer, bit: number, work: () => Promise<boolean>): Promise<boolean> {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    await writeFile(name, flipped)
    try {
      return await work()
    } finally {
      await writeFile(name, bytes)
    }
  }

  /** Whether it was refused. */
  async function readOf(checkedBytesMax: number | undefined): Promise<boolean> {
    let ports: EmbeddedPorts | undefined
    try {
      ports = await openEmbedded({ directory, ...(checkedBytesMax === undefined ? {} : { checkedBytesMax }) })
      assert.deepEqual(await contents(ports), expected)
      return false
    } catch (error) {
      if (error instanceof StateCorruptError || error instanceof StateFormatError) return true
      throw error
    } finally {
      await ports?.close()
      for (const left of ['-wal', '-shm']) await rm(file + left, { force: true })
    }
  }

  for (const [how, checkedBytesMax] of [
    ['verified at opening', undefined],
    ['verified as it is read, as a large store is', 0],
  ] as const) {
    test(how, async () => {
      const random = seeded(7)
      let refused = 0
      for (let i = 0; i < FLIPS; i++) {
        const bit = Math.floor(random() * good.length * 8)
        const where = `bit ${bit & 7} of byte ${bit >> 3}, in page ${(bit >> 15) + 1}`
        const wasRefused = await withFlip(file, good, bit, () =>
          readOf(checkedBytesMax).catch(cause => assert.fail(`${where}: ${cause.stack}`)),
        )
        if (wasRefused) refused++
      }
      assert.ok(refused > FLIPS / 2 && refused < FLIPS, `${refused} of ${FLIPS} were refused`)
    })
  }

  test("in the file of a large object, and in the file's name in its row", async () => {
    const [name] = await readdir(join(directory, 'blobs'))
    const large = join(directory, 'blobs', name!)
    const bytes = await readFile(large)
    for (const bit of [0, 800_001, bytes.length * 8 - 1])
      assert.ok(await withFlip(large, bytes, bit, () => readOf(undefined)), `${bit}`)
    assert.ok(await withFlip(file, good, good.indexOf(name!) * 8 + 1, () => readOf(undefined)))
  })
})

async function fill(ports: EmbeddedPorts): Promise<void> {
  for (const [l, log] of LOGS.entries()) {
    for (let version = 1; version <= 40; version++)
      await ports.log.putIfAbsent(log, version, noise(20 + version * 7, version + l))
    await ports.log.raiseFloor(log, 5 + l)
  }
  const item = (pk: string, i: number) => {
    const address = { pk, sk: `key-${String(i * 2).padStart(5, '0')}`, v: i + 1 }
    if (i % 9 === 0) return { ...address, value: undefined }
    return i % 7 === 0 ? { ...address, value: noise(30, i), expiry: 1e12 + i } : { ...address, value: noise(i % 50, i) }
  }
  for (const pk of PKS) await ports.store.upsert(Array.from({ length: PER_PK }, (_, i) => item(pk, i)))
  for (const shard of [0, 1]) {
    for (let i = 0; i < 30; i++) await ports.streams.put('s', shard, noise(500, i))
    await ports.streams.trim('s', shard, (await ports.streams.poll('s', shard, undefined, 3)).at(-1)!.seq)
  }
  for (let i = 0; i < 5; i++) await ports.blobs.put(`small/${i}`, noise(100 * i + 1, i))
  await ports.blobs.put('large', noise(200_000))
}

/** All that the ports tell, also of places where nothing is. */
async function contents({ log, store, streams, blobs }: EmbeddedPorts): Promise<unknown[]> {
  const found: unknown[] = []
  for (const name of [...LOGS, 'none']) {
    found.push(await log.floor(name))
    for (let version = 0; version <= 41; version++) found.push(await log.get(name, version))
    for (let from = 0; from <= 40; from += 10) found.push(await log.range(name, from, 15))
  }
  for (const pk of [...PKS, 'none']) {
    const addresses = Array.from({ length: PER_PK * 2 + 1 }, (_, i) => ({ pk, sk: `key-${String(i).padStart(5, '0')}` }))
    found.push(await store.batchGet(addresses))
    for (let from = 0; from < PER_PK * 2; from += 97)
      found.push(
        await store.range(pk, `key-${String(from).padStart(5, '0')}`, 'key-1', 60),
        await store.range(pk, 'key-', `key-${from}`, 1000),
      )
  }
  for (const shard of [0, 1, 2]) {
    let after: string | undefined
    for (;;) {
      const records = await streams.poll('s', shard, after, 7)
      if (records.length === 0) break
      found.push(records)
      after = records.at(-1)!.seq
    }
  }
  for (const key of await blobs.list('')) found.push(key, await blobs.get(key))
  return found
}
