import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UsageError } from '../../../bench/arguments.ts'
import { withoutLocalStack } from '../resources.ts'
import { differences } from './differences.ts'
import { killPlan } from './kills.ts'
import { parseSoakArguments, type SoakOptions } from './options.ts'
import { reportText, type SoakReport, sum } from './report.ts'

describe('the plan of kills', () => {
  const first = (seed: number, n: number) => killPlan(seed, 3_000).take(n).toArray()

  test('is the same for the same seed, and another for another', () => {
    assert.deepEqual(first(7, 100), first(7, 100))
    assert.notDeepEqual(first(7, 100), first(8, 100))
  })

  test('has the gaps that it is asked for on average, and victims anywhere', () => {
    const plan = first(1, 2_000)
    const mean = plan.reduce((ms, kill) => ms + kill.afterMs, 0) / plan.length
    assert.ok(Math.abs(mean - 3_000) < 300, `${mean} ms`)
    for (const tenth of Array.from({ length: 10 }, (_, i) => i / 10))
      assert.ok(plan.filter(({ victim }) => victim >= tenth && victim < tenth + 0.1).length > 100)
  })
})

describe('the comparison', () => {
  test('names rows that are missing, too many, or in the wrong sink', () => {
    const wanted = { a: ['x', 'y', 'y'], b: ['z'] }
    assert.deepEqual(differences({ a: ['y', 'x', 'y'], b: ['z'] }, wanted), [])
    assert.deepEqual(differences({ a: ['x', 'x', 'y', 'z'], b: [] }, wanted), [
      { sink: 'a', row: 'x', found: 2, wanted: 1 },
      { sink: 'a', row: 'y', found: 1, wanted: 2 },
      { sink: 'a', row: 'z', found: 1, wanted: 0 },
      { sink: 'b', row: 'z', found: 0, wanted: 1 },
    ])
  })

  test('is in the report, row by row', () => {
    const report = { ...EMPTY, differences: [{ sink: 'a', row: '{"n":1}', found: 2, wanted: 1 }] }
    assert.match(reportText(report), /differences {3}1\n {2}a: 2 times instead of 1: \{"n":1\}$/)
    assert.match(reportText(EMPTY), /every record of every sink is as it should be$/)
  })
})

describe('the arguments', () => {
  test('say what is wrong with them', () => {
    assert.equal(parseSoakArguments(['--minutes', '5', '--errors', '0'])?.errors, 0)
    assert.equal(parseSoakArguments(['--help']), undefined)
    for (const [words, said] of [
      [['--minutes', '0'], /--minutes 0 has to be a whole number from 1/],
      [['--errors', '0.9'], /--errors 0.9 has to be a number from 0 to 0.5/],
      [['--rate', '0'], /--rate 0 has to be a number above 0, at most 1000/],
      [['--sed', '1'], /--sed/],
    ] as const)
      assert.throws(
        () => parseSoakArguments(words),
        (e: Error) => e instanceof UsageError && said.test(e.message),
      )
  })
})

/** The short form of `npm run soak`. */
describe('the recommendation pipeline under kills, injected errors and lost answers', { skip: withoutLocalStack }, () => {
  test('gives what an undisturbed run gives, record for record', async () => {
    const { soak } = await import('./soak.ts')
    const report = await soak({ ...SHORT, seed: 1 }, () => {})
    const text = reportText(report)
    assert.deepEqual(report.differences, [], text)
    assert.equal(report.deadLetters, 0, text)
    // Of each of them some, or nothing was shown.
    assert.ok(sum(report.kills) >= 3 && sum(report.throttled) >= 10 && report.answersLost >= 1, text)
    assert.ok(report.checkpoints.complete >= 1, text)
  })
})

const SHORT: SoakOptions = {
  minutes: 4,
  rate: 3,
  parallelism: 2,
  seed: 1,
  killEverySeconds: 1,
  kills: 8,
  errors: 0.05,
  lost: 0.02,
}

const EMPTY: SoakReport = {
  options: SHORT,
  events: 1,
  rows: { a: 1 },
  seconds: 1,
  kills: {},
  throttled: {},
  answersLost: 0,
  calls: 0,
  checkpoints: { complete: 1, failed: 0 },
  invocations: 1,
  failedInvocations: 0,
  metrics: { Replays: 0, LostRaces: 0, Aborts: 0 },
  deadLetters: 0,
  differences: [],
}
