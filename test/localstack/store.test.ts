import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { assertBytes, noise } from '../conformance/data.ts'
import { type AwsFixture, openAwsFixture, withoutLocalStack } from './resources.ts'

const LARGE = 600_000

describe('values too large for an item', { skip: withoutLocalStack }, () => {
  let fixture: AwsFixture
  before(async () => {
    fixture = await openAwsFixture([], 1)
  })
  after(() => fixture?.close())

  const objects = () => fixture.ports.blobs.list('values/')
  const value = async (pk: string) => (await fixture.ports.store.batchGet([{ pk, sk: '' }]))[0]

  test('lie in the bucket, come back from batchGet and range, and go when they are overwritten, deleted or swept', async () => {
    const { store } = fixture.ports
    await store.upsert([{ pk: 'a', sk: '', v: 1, value: noise(LARGE) }])
    assert.equal((await objects()).length, 1)
    assertBytes((await value('a'))?.value, noise(LARGE))
    assertBytes((await store.range('a', '', 'x', 10))[0]?.value, noise(LARGE))

    await store.upsert([{ pk: 'a', sk: '', v: 2, value: noise(LARGE, 2) }])
    assertBytes((await value('a'))?.value, noise(LARGE, 2))
    assert.equal((await objects()).length, 1)

    await store.upsert([{ pk: 'a', sk: '', v: 3, value: noise(10) }])
    assertBytes((await value('a'))?.value, noise(10))
    assert.deepEqual(await objects(), [])

    await store.upsert([{ pk: 'a', sk: '', v: 4, value: noise(LARGE), expiry: 1000 }])
    await store.sweep('a', 4, Number.NEGATIVE_INFINITY)
    assertBytes((await value('a'))?.value, noise(LARGE))
    await store.sweep('a', 4, 2000)
    assert.equal(await value('a'), undefined)
    assert.deepEqual(await objects(), [])
  })

  test('that are stale leave no object', async () => {
    const { store } = fixture.ports
    await store.upsert([{ pk: 'b', sk: '', v: 5, value: noise(LARGE) }])
    for (const v of [5, 4]) await store.upsert([{ pk: 'b', sk: '', v, value: noise(LARGE, v) }])
    assertBytes((await value('b'))?.value, noise(LARGE))
    await store.upsert([{ pk: 'b', sk: '', v: 6, value: undefined }])
    await store.upsert([{ pk: 'b', sk: '', v: 5, value: noise(LARGE) }])
    assert.equal((await value('b'))?.v, 6)
    assert.deepEqual(await objects(), [])
  })

  test('that race leave the highest version and one object, and readers see whole values all along', async () => {
    const { store } = fixture.ports
    let writing = true
    const versions = Array.from({ length: 12 }, (_, i) => i + 1)
    const writes = Promise.all(versions.map(v => store.upsert([{ pk: 'c', sk: '', v, value: noise(LARGE, v) }])))
    const done = writes.finally(() => {
      writing = false
    })
    for (let seen = 0; writing; ) {
      const item = await value('c')
      if (item === undefined) continue
      assertBytes(item.value, noise(LARGE, item.v), `version ${item.v}`)
      assert.ok(item.v >= seen)
      seen = item.v
    }
    await done
    assertBytes((await value('c'))?.value, noise(LARGE, 12))
    assert.equal((await objects()).length, 1)
  })

  test('a value whose object somebody deleted is an error that names it, not an absence', async () => {
    const { store, blobs } = fixture.ports
    await store.upsert([{ pk: 'd', sk: 'key', v: 1, value: noise(LARGE) }])
    for (const object of await blobs.list('values/')) await blobs.delete(object)
    await assert.rejects(store.batchGet([{ pk: 'd', sk: 'key' }]), {
      name: 'ValueLostError',
      message: /'d'.*lifecycle|'d'.*deletes/,
    })
  })

  test('an expiry of Infinity comes back, and is never over', async () => {
    const { store } = fixture.ports
    await store.upsert([{ pk: 'e', sk: 'a', v: 1, value: noise(1), expiry: Number.POSITIVE_INFINITY }])
    await store.sweep('e', 9, Number.MAX_SAFE_INTEGER)
    assert.equal((await store.range('e', '', 'z', 9))[0]?.expiry, Number.POSITIVE_INFINITY)
  })
})
