import assert from 'node:assert/strict'
import type { Check } from './ports.ts'

/** Timers count in whole milliseconds and may round down. */
const ROUNDING_MS = 2

export function clockConformance(check: Check): void {
  check('sleep lasts for its time, on the clock that now() shows', async ports => {
    const start = ports.clock.now()
    await ports.clock.sleep(30)
    assert.ok(ports.clock.now() - start >= 30 - ROUNDING_MS)
    await ports.clock.sleep(0)
  })

  check('sleep resolves early when its signal aborts, also when that was before', async ports => {
    const start = ports.clock.now()
    const abort = new AbortController()
    const asleep = ports.clock.sleep(1_000_000, abort.signal)
    await ports.clock.sleep(5)
    abort.abort()
    await asleep
    await ports.clock.sleep(1_000_000, abort.signal)
    assert.ok(ports.clock.now() - start < 1_000_000)
  })

  check('sleeps end in the order of their times', async ports => {
    const ended: number[] = []
    await Promise.all([60, 1, 30].map(ms => ports.clock.sleep(ms).then(() => ended.push(ms))))
    assert.deepEqual(ended, [1, 30, 60])
  })

  check('ids never repeat, and suit names and keys everywhere', async ports => {
    const ids = Array.from({ length: 10_000 }, () => ports.random.id())
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.match(id, /^[a-zA-Z0-9_-]{8,64}$/)
  })

  check('fractions lie in [0, 1) and spread', async ports => {
    const fractions = Array.from({ length: 1000 }, () => ports.random.fraction())
    assert.ok(fractions.every(fraction => fraction >= 0 && fraction < 1))
    const mean = fractions.reduce((sum, fraction) => sum + fraction) / fractions.length
    assert.ok(mean > 0.4 && mean < 0.6, `mean ${mean}`)
  })
}
