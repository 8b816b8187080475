import assert from 'node:assert/strict'
import type { BaseItem, Ports } from '../../runtime/ports.ts'
import { assertBytes, bytes, byUtf8, noise, orderedKeys, words } from './data.ts'
import type { Check } from './ports.ts'

const item = (pk: string, sk: string, v: number, text: string | undefined, expiry?: number): BaseItem => ({
  pk,
  sk,
  v,
  value: text === undefined ? undefined : bytes(text),
  ...(expiry === undefined ? {} : { expiry }),
})

/** An item in a form that reads well in a failure: 'sk@v=value'. */
const show = (found: BaseItem | undefined) => found && `${found.sk}@${found.v}=${found.value ? words(found.value) : 'deleted'}`

const shown = async (ports: Ports, pk: string) => (await ports.store.range(pk, ' ', '\u{10ffff}', 1000)).map(show)

export function storeConformance(check: Check): void {
  check('batchGet answers in the order of its addresses, undefined where nothing is, with repeats', async ports => {
    const [p, q] = [ports.random.id(), ports.random.id()]
    await ports.store.upsert([item(p, 'a', 1, 'pa'), item(p, 'b', 2, 'pb'), item(q, 'a', 3, 'qa')])
    const addresses = [
      { pk: q, sk: 'a' },
      { pk: p, sk: 'c' },
      { pk: p, sk: 'b' },
      { pk: q, sk: 'a' },
      { pk: q, sk: 'b' },
      { pk: p, sk: 'a' },
    ]
    const found = await ports.store.batchGet(addresses)
    assert.deepEqual(found.map(show), ['a@3=qa', undefined, 'b@2=pb', 'a@3=qa', undefined, 'a@1=pa'])
    for (const [i, answer] of found.entries()) if (answer) assert.deepEqual({ pk: answer.pk, sk: answer.sk }, addresses[i])
  })

  check('batchGet takes no addresses, and 300', async ports => {
    const pk = ports.random.id()
    assert.deepEqual(await ports.store.batchGet([]), [])
    const keys = Array.from({ length: 300 }, (_, i) => `k${i}`)
    await ports.store.upsert(keys.map((sk, i) => item(pk, sk, i + 1, sk)))
    const found = await ports.store.batchGet(keys.map(sk => ({ pk, sk })))
    assert.deepEqual(
      found.map(show),
      keys.map((sk, i) => `${sk}@${i + 1}=${sk}`),
    )
  })

  check('batchGet answers whole when its items are many megabytes', async ports => {
    const pk = ports.random.id()
    const keys = Array.from({ length: 60 }, (_, i) => `k${i}`)
    for (const [i, sk] of keys.entries()) await ports.store.upsert([{ pk, sk, v: 1, value: noise(300_000, i + 1) }])
    const found = await ports.store.batchGet(keys.map(sk => ({ pk, sk })))
    for (const [i, answer] of found.entries()) assertBytes(answer?.value, noise(300_000, i + 1), keys[i])
    assert.equal((await ports.store.range(pk, 'k', 'l', 1000)).length, 60)
  })

  check('upsert writes only where the stored v is lower (E1)', async ports => {
    const pk = ports.random.id()
    await ports.store.upsert([item(pk, 'a', 5, 'five')])
    await ports.store.upsert([item(pk, 'a', 4, 'stale')])
    assert.deepEqual(await shown(ports, pk), ['a@5=five'])
    await ports.store.upsert([item(pk, 'a', 5, 'same version')])
    assert.deepEqual(await shown(ports, pk), ['a@5=five'])
    await ports.store.upsert([item(pk, 'a', 6, 'six')])
    assert.deepEqual(await shown(ports, pk), ['a@6=six'])
  })

  check('v compares as a number', async ports => {
    const pk = ports.random.id()
    await ports.store.upsert([item(pk, 'a', 9, 'nine')])
    await ports.store.upsert([item(pk, 'a', 10, 'ten')])
    await ports.store.upsert([item(pk, 'a', 9, 'nine')])
    assert.deepEqual(await shown(ports, pk), ['a@10=ten'])
    await ports.store.upsert([item(pk, 'a', Number.MAX_SAFE_INTEGER, 'max')])
    assert.deepEqual(await shown(ports, pk), [`a@${Number.MAX_SAFE_INTEGER}=max`])
  })

  check('a refused item does not keep the others of its call from being written', async ports => {
    const pk = ports.random.id()
    await ports.store.upsert([item(pk, 'b', 9, 'newer')])
    await ports.store.upsert([item(pk, 'a', 1, 'a'), item(pk, 'b', 1, 'stale'), item(pk, 'c', 1, 'c')])
    assert.deepEqual(await shown(ports, pk), ['a@1=a', 'b@9=newer', 'c@1=c'])
  })

  check('upsert of no items does nothing; the same items again change nothing', async ports => {
    const pk = ports.random.id()
    await ports.store.upsert([])
    const items = [item(pk, 'a', 1, 'a'), item(pk, 'b', 2, undefined)]
    await ports.store.upsert(items)
    await ports.store.upsert(items)
    assert.deepEqual(await shown(ports, pk), ['a@1=a', 'b@2=deleted'])
  })

  check('concurrent upserts of one address leave the highest version', async ports => {
    const pk = ports.random.id()
    await Promise.all([4, 1, 9, 3, 10, 2, 8].map(v => ports.store.upsert([item(pk, 'a', v, `v${v}`)])))
    assert.deepEqual(await shown(ports, pk), ['a@10=v10'])
  })

  check('an upsert is seen as soon as it is acknowledged, by batchGet and by range (E2)', async ports => {
    const pk = ports.random.id()
    for (let v = 1; v <= 20; v++) {
      await ports.store.upsert([item(pk, 'a', v, `v${v}`)])
      const [found] = await ports.store.batchGet([{ pk, sk: 'a' }])
      assert.equal(found?.v, v)
      assert.equal((await ports.store.range(pk, 'a', 'b', 1))[0]?.v, v)
    }
  })

  check('a tombstone is an item: with its v, without a value, and not brought back by an older value', async ports => {
    const pk = ports.random.id()
    await ports.store.upsert([item(pk, 'a', 1, 'a')])
    await ports.store.upsert([item(pk, 'a', 2, undefined)])
    await ports.store.upsert([item(pk, 'a', 1, 'a')])
    const [found] = await ports.store.batchGet([{ pk, sk: 'a' }])
    assert.equal(found?.v, 2)
    assert.equal(found?.value, undefined)
    assert.deepEqual(await shown(ports, pk), ['a@2=deleted'])
    await ports.store.upsert([item(pk, 'a', 3, 'back')])
    assert.deepEqual(await shown(ports, pk), ['a@3=back'])
  })

  check('an empty value is a value, not a tombstone', async ports => {
    const pk = ports.random.id()
    await ports.store.upsert([{ pk, sk: 'a', v: 1, value: noise(0) }])
    const [found] = await ports.store.batchGet([{ pk, sk: 'a' }])
    assertBytes(found?.value, noise(0))
    assertBytes((await ports.store.range(pk, 'a', 'b', 1))[0]?.value, noise(0))
  })

  check('expiry comes back, goes with a newer version without it, and hides nothing by itself', async ports => {
    const pk = ports.random.id()
    const past = ports.clock.now() - 1_000_000
    const future = ports.clock.now() + 1_000_000_000
    await ports.store.upsert([item(pk, 'a', 1, 'a', future), item(pk, 'b', 1, 'b'), item(pk, 'c', 1, 'c', past)])
    const found = await ports.store.batchGet(['a', 'b', 'c'].map(sk => ({ pk, sk })))
    assert.deepEqual(
      found.map(answer => answer?.expiry),
      [future, undefined, past],
    )
    assert.deepEqual(
      (await ports.store.range(pk, 'a', 'd', 9)).map(answer => answer.expiry),
      [future, undefined, past],
    )
    await ports.store.upsert([item(pk, 'a', 2, 'a')])
    assert.equal((await ports.store.batchGet([{ pk, sk: 'a' }]))[0]?.expiry, undefined)
  })

  check('range holds from <= sk < to of one pk, at most `limit`, tombstones included', async ports => {
    const [pk, other] = [ports.random.id(), ports.random.id()]
    await ports.store.upsert([...'dbace'].map((sk, i) => item(pk, sk, i + 1, sk === 'c' ? undefined : sk)))
    await ports.store.upsert([item(other, 'b', 1, 'other')])
    const keys = async (from: string, to: string, limit: number) =>
      (await ports.store.range(pk, from, to, limit)).map(found => found.sk).join('')
    assert.equal(await keys('a', 'z', 100), 'abcde')
    assert.equal(await keys('b', 'd', 100), 'bc')
    assert.equal(await keys('b', 'd\u0001', 100), 'bcd')
    assert.equal(await keys('b', 'z', 2), 'bc')
    assert.equal(await keys('bb', 'c', 100), '')
    assert.equal(await keys('x', 'z', 100), '')
    assert.deepEqual(await ports.store.range(`${pk}x`, 'a', 'z', 100), [])
    for (const found of await ports.store.range(pk, 'a', 'z', 100)) assert.equal(found.pk, pk)
  })

  check('a range of nothing, and one the wrong way round, are empty', async ports => {
    const pk = ports.random.id()
    await ports.store.upsert([item(pk, 'b', 1, 'b')])
    assert.deepEqual(await ports.store.range(pk, 'b', 'b', 10), [])
    assert.deepEqual(await ports.store.range(pk, 'c', 'a', 10), [])
  })

  check('sk is ordered by its UTF-8 bytes, also beyond U+FFFF', async ports => {
    const pk = ports.random.id()
    assert.deepEqual([...orderedKeys].sort(byUtf8), orderedKeys)
    await ports.store.upsert(orderedKeys.toReversed().map((sk, i) => item(pk, sk, i + 1, sk)))
    assert.deepEqual(
      (await ports.store.range(pk, '!', '\u{10ffff}', 100)).map(found => found.sk),
      orderedKeys,
    )
    for (const [i, from] of orderedKeys.entries()) {
      assert.deepEqual(
        (await ports.store.range(pk, from, '\u{10ffff}', 2)).map(found => found.sk),
        orderedKeys.slice(i, i + 2),
      )
      assert.deepEqual(
        (await ports.store.range(pk, '!', from, 100)).map(found => found.sk),
        orderedKeys.slice(0, i),
      )
    }
  })

  check('a range of 500 items reads on, page by page, to the end', async ports => {
    const pk = ports.random.id()
    const keys = Array.from({ length: 500 }, (_, i) => String(i).padStart(4, '0'))
    await ports.store.upsert(keys.map(sk => item(pk, sk, 1, sk)))
    assert.deepEqual(
      (await ports.store.range(pk, '0', '9', 1000)).map(found => found.sk),
      keys,
    )
    const paged: string[] = []
    for (let from = '0'; ; ) {
      const page = await ports.store.range(pk, from, '9', 70)
      if (page.length === 0) break
      paged.push(...page.map(found => found.sk))
      from = `${page.at(-1)!.sk}\u0001`
    }
    assert.deepEqual(paged, keys)
  })

  check('sweep takes tombstones and expired values up to v, of one pk, and nothing else (E4)', async ports => {
    const [pk, other] = [ports.random.id(), ports.random.id()]
    const now = 1_000_000_000_000
    await ports.store.upsert([
      item(pk, 'dead', 5, undefined),
      item(pk, 'dead, later', 6, undefined),
      item(pk, 'expired', 5, 'x', now - 10),
      item(pk, 'expired, later', 6, 'x', now - 10),
      item(pk, 'kept', 1, 'x'),
      item(pk, 'not yet', 1, 'x', now + 10),
      item(other, 'dead', 1, undefined),
    ])
    for (let i = 0; i < 2; i++) {
      await ports.store.sweep(pk, 5, now)
      assert.deepEqual(
        (await ports.store.range(pk, 'a', 'z', 100)).map(found => found.sk),
        ['dead, later', 'expired, later', 'kept', 'not yet'],
      )
    }
    assert.equal((await ports.store.range(other, 'a', 'z', 100)).length, 1)
    await ports.store.sweep(pk, 6, now + 11)
    assert.deepEqual(
      (await ports.store.range(pk, 'a', 'z', 100)).map(found => found.sk),
      ['kept'],
    )
  })

  check('addresses may hold slashes, spaces and other scripts, and do not run into each other', async ports => {
    const id = ports.random.id()
    const pairs = [
      ['a', 'b/c'],
      ['a/b', 'c'],
      ['a b', '#'],
      ['日本/😀', 'é'],
      ['a', 'b'],
      ['a', `b\u0001c`],
    ] as const
    await ports.store.upsert(pairs.map(([pk, sk], i) => item(id + pk, sk, i + 1, `${i}`)))
    const found = await ports.store.batchGet(pairs.map(([pk, sk]) => ({ pk: id + pk, sk })))
    assert.deepEqual(
      found.map(answer => answer?.v),
      pairs.map((_, i) => i + 1),
    )
  })

  check('a value shares no memory with the caller or with another answer', async ports => {
    const pk = ports.random.id()
    const whole = noise(100)
    await ports.store.upsert([{ pk, sk: 'a', v: 1, value: whole.subarray(10, 20) }])
    whole.fill(0)
    for (let i = 0; i < 2; i++) {
      const answers = [(await ports.store.batchGet([{ pk, sk: 'a' }]))[0], (await ports.store.range(pk, 'a', 'b', 1))[0]]
      for (const answer of answers) {
        assertBytes(answer?.value, noise(100).slice(10, 20))
        answer!.value!.fill(0)
      }
    }
  })
}
