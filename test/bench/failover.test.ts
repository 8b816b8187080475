import assert from 'node:assert/strict'
import test from 'node:test'
import { figures } from '../../bench/failover/figures.ts'
import { failoverTable } from '../../bench/failover/main.ts'
import { runOwn } from '../../bench/failover/ours.ts'
import { checkResults } from '../../bench/failover/results.ts'
import type { Trace } from '../../bench/failover/settings.ts'

test('when one of four environments is killed before its commit, it does that batch again, and the others nothing', {
  timeout: 60_000,
}, async () => {
  const settings = { subtasks: 4, rate: 400, seconds: 2, killAtSeconds: 1 }
  const trace = await runOwn(settings)
  const { batch, againKilled, againOthers, commitsAgainMs } = figures(trace, settings)
  assert.ok(batch > 0)
  assert.equal(againKilled, batch)
  assert.equal(againOthers, 0)
  assert.ok(commitsAgainMs! > 0)
})

/** Four subtasks, an event each 250 ms in turn, due when it is seen; the last of them dies at 2000 and sees 7 and 11 again. */
const TRACE: Trace = {
  startedAt: 0,
  killedAt: 2_900,
  seen: [
    [
      [0, 0],
      [4, 1_000],
      [8, 2_000],
      [12, 3_000],
    ],
    [
      [1, 250],
      [5, 1_250],
      [9, 2_250],
      [13, 3_250],
    ],
    [
      [2, 500],
      [6, 1_500],
      [10, 2_500],
      [14, 3_900],
    ],
    [
      [3, 750],
      [7, 1_750],
      [11, 2_750],
      [7, 3_500],
      [11, 3_600],
      [15, 3_750],
    ],
  ],
  commits: [
    [100, 1_100, 2_100, 3_100],
    [300, 1_300, 2_300, 3_300],
    [600, 1_600, 2_600, 3_950],
    [800, 3_700],
  ],
}

test('figures are told of the one that died and of the others, from two seconds before on', () => {
  const settings = { subtasks: 4, rate: 4, seconds: 4, killAtSeconds: 3 }
  assert.deepEqual(figures(TRACE, settings), {
    againKilled: 2,
    againOthers: 0,
    batch: 2,
    commitsAgainMs: 800,
    pauseKilledMs: 1_000,
    pauseOthersMs: 1_400,
    commitGapKilledMs: 0,
    commitGapOthersMs: 1_350,
    delayKilledMs: 1_750,
    delayOthersMs: 400,
  })
  const calm = figures({ ...TRACE, killedAt: undefined }, settings)
  assert.equal(calm.commitsAgainMs, undefined)
  const row = failoverTable([{ system: 'millrace', undisturbed: calm, disturbed: figures(TRACE, settings) }])
  assert.match(row, /\| from its death to its next commit +\| +800 ms \| +– \|/)
})

test('a result that is missing, doubled or wrong is told', () => {
  const right = [
    { id: 0, user: 'a', count: 1 },
    { id: 1, user: 'b', count: 1 },
    { id: 2, user: 'a', count: 2 },
  ]
  checkResults(right, 3)
  assert.throws(() => checkResults(right.slice(1), 3), /2 results of 2 events, not one for each of 3/)
  assert.throws(() => checkResults([...right, right[0]!], 3), /4 results of 3 events/)
  const wrong = right.with(2, { id: 2, user: 'a', count: 3 })
  assert.throws(() => checkResults(wrong, 3), /the result of event 2 says 3 for a, not 2/)
})
