import assert from 'node:assert/strict'
import type { Ports } from '../../runtime/ports.ts'
import { assertBytes, bytes, noise, words } from './data.ts'
import type { Check } from './ports.ts'

const TRIES_MAX = 500
const PAUSE_MS = 20

type Slot = { log: string; version: number }

/** The slots' items once the read has caught up with what was written. */
async function settled(ports: Ports, slots: readonly Slot[]): Promise<Uint8Array[]> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const items = await ports.log.batchGet(slots)
    assert.equal(items.length, slots.length)
    if (items.every(item => item instanceof Uint8Array)) return items
    await ports.clock.sleep(PAUSE_MS)
  }
  throw new assert.AssertionError({ message: 'batchGet never showed what was written' })
}

const writeAll = (ports: Ports, log: string, versions: readonly number[]) =>
  Promise.all(versions.map(version => ports.log.putIfAbsent(log, version, bytes(`v${version}`))))

export function logConformance(check: Check): void {
  check('putIfAbsent writes a free slot, once, and what lies there never changes', async ports => {
    const log = ports.random.id()
    assert.equal(await ports.log.putIfAbsent(log, 1, bytes('first')), true)
    assert.equal(await ports.log.putIfAbsent(log, 1, bytes('second')), false)
    assert.equal(await ports.log.putIfAbsent(log, 1, bytes('first')), false, 'the same item again is still not this call')
    assertBytes(await ports.log.get(log, 1), bytes('first'))
  })

  check('of 50 concurrent calls for one slot exactly one wins, and its item is there', async ports => {
    const log = ports.random.id()
    const won = await Promise.all(Array.from({ length: 50 }, (_, i) => ports.log.putIfAbsent(log, 1, bytes(`attempt ${i}`))))
    assert.equal(won.filter(Boolean).length, 1)
    assertBytes(await ports.log.get(log, 1), bytes(`attempt ${won.indexOf(true)}`))
  })

  check('get sees a write as soon as it is acknowledged, and undefined in a free slot', async ports => {
    const log = ports.random.id()
    assert.equal(await ports.log.get(log, 1), undefined)
    for (let version = 1; version <= 20; version++) {
      await ports.log.putIfAbsent(log, version, bytes(`v${version}`))
      assertBytes(await ports.log.get(log, version), bytes(`v${version}`))
    }
    assert.equal(await ports.log.get(log, 21), undefined)
  })

  check('logs do not see each other, also when one name begins the other', async ports => {
    const log = ports.random.id()
    const others = [`${log}/1`, `${log}#1`, `${log}0`]
    await ports.log.putIfAbsent(log, 1, bytes('mine'))
    for (const other of others) {
      assert.equal(await ports.log.get(other, 1), undefined)
      assert.equal(await ports.log.putIfAbsent(other, 1, bytes(other)), true)
    }
    assert.deepEqual(
      (await ports.log.range(log, 0, 10)).map(slot => words(slot.item)),
      ['mine'],
    )
  })

  check('batchGet answers in the order of its slots, across logs, with repeats', async ports => {
    const [a, b] = [ports.random.id(), ports.random.id()]
    await writeAll(ports, a, [1, 2])
    await ports.log.putIfAbsent(b, 1, bytes('b1'))
    const slots = [
      { log: b, version: 1 },
      { log: a, version: 2 },
      { log: a, version: 1 },
      { log: b, version: 1 },
    ]
    assert.deepEqual((await settled(ports, slots)).map(words), ['b1', 'v2', 'v1', 'b1'])
  })

  check('batchGet never has an item for a slot that is free', async ports => {
    const log = ports.random.id()
    await ports.log.putIfAbsent(log, 1, bytes('v1'))
    const answer = await ports.log.batchGet([
      { log, version: 2 },
      { log, version: 1 },
      { log: `${log}x`, version: 1 },
    ])
    assert.equal(answer.length, 3)
    for (const i of [0, 2]) assert.ok(answer[i] === undefined || answer[i] === 'unknown')
  })

  check('batchGet takes no slots, and 250', async ports => {
    const log = ports.random.id()
    assert.deepEqual(await ports.log.batchGet([]), [])
    const versions = Array.from({ length: 250 }, (_, i) => i + 1)
    await writeAll(ports, log, versions)
    const items = await settled(
      ports,
      versions.map(version => ({ log, version })),
    )
    assert.deepEqual(
      items.map(words),
      versions.map(version => `v${version}`),
    )
  })

  check('range is in order of version as a number, from `from`, at most `limit`', async ports => {
    const log = ports.random.id()
    await writeAll(ports, log, [10, 9, 100, 2, 1, 11])
    const versions = async (from: number, limit: number) => (await ports.log.range(log, from, limit)).map(slot => slot.version)
    assert.deepEqual(await versions(0, 100), [1, 2, 9, 10, 11, 100])
    assert.deepEqual(await versions(9, 100), [9, 10, 11, 100])
    assert.deepEqual(await versions(9, 2), [9, 10])
    assert.deepEqual(await versions(101, 100), [])
    assert.deepEqual(
      (await ports.log.range(log, 100, 1)).map(slot => words(slot.item)),
      ['v100'],
    )
  })

  check('range leaves holes out and goes on behind them', async ports => {
    const log = ports.random.id()
    await writeAll(ports, log, [1, 2, 5, 6])
    assert.deepEqual(
      (await ports.log.range(log, 2, 3)).map(slot => slot.version),
      [2, 5, 6],
    )
    assert.deepEqual(
      (await ports.log.range(log, 3, 1)).map(slot => slot.version),
      [5],
    )
  })

  check('range sees a write as soon as it is acknowledged, and a log of none is empty', async ports => {
    const log = ports.random.id()
    assert.deepEqual(await ports.log.range(log, 1, 10), [])
    for (let version = 1; version <= 10; version++) {
      await ports.log.putIfAbsent(log, version, bytes('x'))
      assert.equal((await ports.log.range(log, 1, 100)).length, version)
    }
  })

  check('range answers whole when its items are many megabytes', async ports => {
    const log = ports.random.id()
    for (let version = 1; version <= 12; version++) await ports.log.putIfAbsent(log, version, noise(300_000, version))
    const slots = await ports.log.range(log, 1, 100)
    assert.deepEqual(
      slots.map(slot => slot.version),
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
    for (const { version, item } of slots) assertBytes(item, noise(300_000, version), `slot ${version}`)
  })

  check('the floor is 0 when never set, is read strongly, and only rises', async ports => {
    const log = ports.random.id()
    assert.equal(await ports.log.floor(log), 0)
    await ports.log.raiseFloor(log, 5)
    assert.equal(await ports.log.floor(log), 5)
    await ports.log.raiseFloor(log, 3)
    await ports.log.raiseFloor(log, 5)
    assert.equal(await ports.log.floor(log), 5)
    await ports.log.raiseFloor(log, 6)
    assert.equal(await ports.log.floor(log), 6)
    assert.equal(await ports.log.floor(`${log}x`), 0)
  })

  check('concurrent raises leave the highest floor', async ports => {
    const log = ports.random.id()
    await Promise.all([3, 9, 1, 7, 10, 2].map(floor => ports.log.raiseFloor(log, floor)))
    assert.equal(await ports.log.floor(log), 10)
  })

  check('the floor is not a slot', async ports => {
    const log = ports.random.id()
    await ports.log.raiseFloor(log, 4)
    assert.deepEqual(await ports.log.range(log, 0, 10), [])
    assert.equal(await ports.log.get(log, 4), undefined)
    assert.equal(await ports.log.putIfAbsent(log, 4, bytes('v4')), true)
    assert.deepEqual(
      (await ports.log.range(log, 0, 10)).map(slot => slot.version),
      [4],
    )
  })

  check('expire takes from <= version < to, of that log only, and may be repeated', async ports => {
    const [log, other] = [ports.random.id(), ports.random.id()]
    await writeAll(ports, log, [1, 2, 3, 4, 5])
    await writeAll(ports, other, [1, 2, 3])
    await ports.log.raiseFloor(log, 5)
    await ports.log.expire(log, 2, 4)
    await ports.log.expire(log, 2, 4)
    assert.deepEqual(
      (await ports.log.range(log, 0, 10)).map(slot => slot.version),
      [1, 4, 5],
    )
    assert.equal(await ports.log.get(log, 2), undefined)
    assert.equal((await ports.log.range(other, 0, 10)).length, 3)
    await ports.log.expire(log, 1, 5)
    assert.deepEqual(
      (await ports.log.range(log, 0, 10)).map(slot => slot.version),
      [5],
    )
  })

  check('expire refuses versions at or above the floor (C1), and then takes none of those', async ports => {
    const log = ports.random.id()
    await writeAll(ports, log, [1, 2, 3, 4])
    await assert.rejects(ports.log.expire(log, 1, 2), 'no floor was ever set')
    await ports.log.raiseFloor(log, 3)
    await assert.rejects(ports.log.expire(log, 1, 4))
    await assert.rejects(ports.log.expire(log, 3, 4))
    assert.deepEqual(
      (await ports.log.range(log, 3, 10)).map(slot => slot.version),
      [3, 4],
    )
    assert.equal(await ports.log.floor(log), 3)
  })

  check('items of no bytes and of 300 KB come back whole', async ports => {
    const log = ports.random.id()
    await ports.log.putIfAbsent(log, 1, noise(0))
    await ports.log.putIfAbsent(log, 2, noise(300_000))
    assertBytes(await ports.log.get(log, 1), noise(0))
    assertBytes(await ports.log.get(log, 2), noise(300_000))
    assert.equal(await ports.log.putIfAbsent(log, 1, bytes('x')), false, 'an empty item holds its slot')
    assertBytes((await settled(ports, [{ log, version: 1 }]))[0], noise(0))
  })

  check('a slot shares no memory with the caller or with another answer', async ports => {
    const log = ports.random.id()
    const whole = noise(100)
    await ports.log.putIfAbsent(log, 1, whole.subarray(10, 20))
    whole.fill(0)
    const expected = noise(100).slice(10, 20)
    for (let i = 0; i < 2; i++) {
      const answers = [
        (await ports.log.get(log, 1))!,
        (await ports.log.range(log, 1, 1))[0]!.item,
        ...(await settled(ports, [{ log, version: 1 }])),
      ]
      for (const answer of answers) {
        assertBytes(answer, expected)
        answer.fill(0)
      }
    }
  })
}
