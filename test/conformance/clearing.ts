import assert from 'node:assert/strict'
import type { Clearing, Ports } from '../../runtime/ports.ts'
import { bytes } from './data.ts'
import type { Check } from './ports.ts'

/** Less than what all tests leave in a table. */
const PAGE = 200

/** All pages of one of the two tables. */
async function clearAll(clear: Clearing['log'], isLeft: (name: string) => boolean): Promise<number> {
  let deleted = 0
  for (let after: string | undefined; ; ) {
    const page = await clear(isLeft, after, PAGE)
    deleted += page.deleted
    if (page.next === undefined) return deleted
    assert.notEqual(page.next, after)
    after = page.next
  }
}

const versionsOf = async ({ log }: Ports, name: string) => (await log.range(name, 0, 100)).map(({ version }) => version)

export function clearingConformance(check: Check): void {
  check('slots of all logs that are left go, page by page, of others none; floors stay (C1)', async (ports, { log }) => {
    const [gone, other] = [ports.random.id(), ports.random.id()]
    for (let version = 1; version <= 7; version++) {
      for (const name of [`${gone}/a/0`, `${gone}/b`, `${other}/a/0`, other])
        await ports.log.putIfAbsent(name, version, bytes('x'))
    }
    await ports.log.raiseFloor(`${gone}/a/0`, 5)
    assert.equal(await clearAll(log, name => name.startsWith(`${gone}/`) && name !== `${gone}/b`), 7)
    assert.deepEqual(await versionsOf(ports, `${gone}/a/0`), [])
    assert.equal(await ports.log.floor(`${gone}/a/0`), 5)
    for (const name of [`${gone}/b`, `${other}/a/0`, other])
      assert.deepEqual(await versionsOf(ports, name), [1, 2, 3, 4, 5, 6, 7])
    assert.equal(await clearAll(log, name => name === `${gone}/b`), 7)
    assert.equal(await clearAll(log, name => name.startsWith(gone)), 0)
  })

  check('items of state go by their pk, with values of any size and tombstones, of others none', async (ports, { state }) => {
    const [gone, other] = [ports.random.id(), ports.random.id()]
    const large = new Uint8Array(500_000).fill(7)
    const pks = [`${gone}|a`, `${gone}|b|😀`, `marker|${gone}/a/0`, `${other}|a`]
    await ports.store.upsert(
      pks.flatMap(pk => [
        { pk, sk: '', v: 1, value: bytes('x') },
        { pk, sk: 'a', v: 1, value: undefined },
        { pk, sk: '日本', v: 2, value: bytes('y') },
      ]),
    )
    await ports.store.upsert([{ pk: `${gone}|a`, sk: 'large', v: 1, value: large }])
    assert.equal(await clearAll(state, pk => pk.startsWith(`${gone}|`) || pk.startsWith(`marker|${gone}/`)), 10)
    const left = async (pk: string) => (await ports.store.range(pk, '', '\u{10ffff}', 10)).length
    assert.deepEqual(await Promise.all(pks.map(left)), [0, 0, 0, 3])
    assert.equal(await clearAll(state, pk => pk.startsWith(`${gone}|`)), 0)
  })
}
