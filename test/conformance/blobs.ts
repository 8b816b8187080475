import assert from 'node:assert/strict'
import { assertBytes, bytes, noise, orderedKeys } from './data.ts'
import type { Check } from './ports.ts'

/** Both sides of where an implementation may change how it stores an object. */
const SIZES = [0, 1, 65_535, 65_536, 65_537, 1_000_000]
const BIG_BYTES = 20_000_000

export function blobsConformance(check: Check): void {
  check('put creates and replaces; get answers with the last, and undefined for a free key', async ports => {
    const key = `${ports.random.id()}/object`
    assert.equal(await ports.blobs.get(key), undefined)
    for (const size of SIZES.concat(SIZES.toReversed())) {
      await ports.blobs.put(key, noise(size, size + 1))
      assertBytes(await ports.blobs.get(key), noise(size, size + 1))
    }
  })

  check('putIfAbsent creates a free object and leaves a taken one', async ports => {
    for (const size of SIZES) {
      const key = `${ports.random.id()}/object`
      assert.equal(await ports.blobs.putIfAbsent(key, noise(size)), true)
      assert.equal(await ports.blobs.putIfAbsent(key, noise(size + 1, 2)), false)
      assertBytes(await ports.blobs.get(key), noise(size))
    }
  })

  for (const size of [100, 200_000]) {
    check(`of 50 concurrent putIfAbsent of ${size} bytes exactly one wins, and its object is there`, async ports => {
      const key = `${ports.random.id()}/race`
      const won = await Promise.all(Array.from({ length: 50 }, (_, i) => ports.blobs.putIfAbsent(key, noise(size, 2 * i + 1))))
      assert.equal(won.filter(Boolean).length, 1)
      assertBytes(await ports.blobs.get(key), noise(size, 2 * won.indexOf(true) + 1))
      assert.deepEqual(await ports.blobs.list(key), [key])
    })
  }

  check('an object is never seen half-written while it is replaced', async ports => {
    const key = `${ports.random.id()}/replaced`
    const versions = [noise(300_000, 1), noise(300_000, 3)]
    await ports.blobs.put(key, versions[0]!)
    const writing = Promise.all(Array.from({ length: 10 }, (_, i) => ports.blobs.put(key, versions[i % 2]!)))
    for (let i = 0; i < 20; i++) {
      const seen = await ports.blobs.get(key)
      assert.ok(versions.some(version => seen && Buffer.compare(seen, version) === 0))
    }
    await writing
  })

  check('list has the keys that start with a prefix, sorted, and sees what was acknowledged', async ports => {
    const id = ports.random.id()
    const keys = ['a/1', 'a/10', 'a/2', 'a', 'ab', 'b/1'].map(key => `${id}/${key}`)
    for (const key of keys) await ports.blobs.put(key, bytes(key))
    const list = async (prefix: string) => (await ports.blobs.list(`${id}/${prefix}`)).map(key => key.slice(id.length + 1))
    assert.deepEqual(await list(''), ['a', 'a/1', 'a/10', 'a/2', 'ab', 'b/1'])
    assert.deepEqual(await list('a'), ['a', 'a/1', 'a/10', 'a/2', 'ab'])
    assert.deepEqual(await list('a/'), ['a/1', 'a/10', 'a/2'])
    assert.deepEqual(await list('a/1'), ['a/1', 'a/10'])
    assert.deepEqual(await list('c'), [])
  })

  check('list is in the order of UTF-8 bytes, and takes no character for a pattern', async ports => {
    const id = ports.random.id()
    for (const key of orderedKeys.toReversed()) await ports.blobs.put(`${id}/${key}`, noise(1))
    assert.deepEqual(
      await ports.blobs.list(`${id}/`),
      orderedKeys.map(key => `${id}/${key}`),
    )
    for (const pattern of ['%', '_', '*', '?']) assert.deepEqual(await ports.blobs.list(`${id}/${pattern}`), [])
  })

  check('list goes on past 1,000 keys, and gives the first of them where no more are wanted', async ports => {
    const id = ports.random.id()
    const keys = Array.from({ length: 1100 }, (_, i) => `${id}/${String(i).padStart(5, '0')}`)
    for (let i = 0; i < keys.length; i += 100)
      await Promise.all(keys.slice(i, i + 100).map(key => ports.blobs.put(key, noise(1))))
    assert.deepEqual(await ports.blobs.list(`${id}/`), keys)
    for (const limit of [1, 999, 1000, 1001, 1100, 2000])
      assert.deepEqual(await ports.blobs.list(`${id}/`, limit), keys.slice(0, limit), `the first ${limit}`)
  })

  check('delete frees the key, and may be repeated', async ports => {
    const id = ports.random.id()
    for (const size of [10, 200_000]) {
      const key = `${id}/${size}`
      await ports.blobs.put(key, noise(size))
      await ports.blobs.put(`${key}/beside`, noise(1))
      await ports.blobs.delete(key)
      await ports.blobs.delete(key)
      assert.equal(await ports.blobs.get(key), undefined)
      assert.deepEqual(await ports.blobs.list(key), [`${key}/beside`])
      assert.equal(await ports.blobs.putIfAbsent(key, noise(size, 5)), true)
      assertBytes(await ports.blobs.get(key), noise(size, 5))
    }
  })

  check('a key may be the folder of another, differ in case only, be long, and hold any script', async ports => {
    const id = ports.random.id()
    const keys = ['a', 'a/b', 'a/b/c', 'A', 'a b+c%2F', 'x/../y', './z', 'é', 'e\u0301', '日本/😀', 'long/'.repeat(150)].map(
      key => `${id}/${key}`,
    )
    for (const [i, key] of keys.entries()) await ports.blobs.put(key, noise(100_000, 2 * i + 1))
    for (const [i, key] of keys.entries()) assertBytes(await ports.blobs.get(key), noise(100_000, 2 * i + 1), key)
    assert.equal((await ports.blobs.list(`${id}/`)).length, keys.length)
  })

  check('an object of 20 MB comes back whole', async ports => {
    const key = `${ports.random.id()}/big`
    const data = noise(BIG_BYTES)
    await ports.blobs.put(key, data)
    assertBytes(await ports.blobs.get(key), data)
    assert.equal(await ports.blobs.putIfAbsent(key, noise(1)), false)
    await ports.blobs.delete(key)
  })

  check('getRange has the bytes of a part, as many as there are, and undefined for a free key', async ports => {
    const id = ports.random.id()
    assert.equal(await ports.blobs.getRange(`${id}/none`, 0, 10), undefined)
    for (const size of SIZES) {
      const [whole, key] = [noise(size, size + 1), `${id}/${size}`]
      await ports.blobs.put(key, whole)
      for (const [from, to] of [
        [0, 1],
        [0, size + 1],
        [1, 100],
        [Math.max(0, size - 40), size + 7],
        [size, size + 1],
        [size + 50, size + 60],
      ] as const)
        assertBytes(await ports.blobs.getRange(key, from, to), whole.slice(from, to), `${from} to ${to} of ${size}`)
      const part = await ports.blobs.getRange(key, 0, size + 1)
      part!.fill(0)
      assertBytes(await ports.blobs.getRange(key, 0, size + 1), whole)
    }
    await ports.blobs.delete(`${id}/1000000`)
    assert.equal(await ports.blobs.getRange(`${id}/1000000`, 0, 1), undefined)
  })

  check('an object shares no memory with the caller or with another answer', async ports => {
    const id = ports.random.id()
    for (const size of [100, 200_000]) {
      const [whole, key] = [noise(size + 20), `${id}/${size}`]
      await ports.blobs.put(key, whole.subarray(10, size + 10))
      whole.fill(0)
      for (let i = 0; i < 2; i++) {
        const answer = await ports.blobs.get(key)
        assertBytes(answer, noise(size + 20).slice(10, size + 10))
        answer!.fill(0)
      }
    }
  })
}
