import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openEvents } from '../../bench/bill/events.ts'
import flink from '../../bench/bill/flink.json' with { type: 'json' }
import machine from '../../bench/bill/machine.json' with { type: 'json' }
import { meteredPorts, noSizes } from '../../bench/bill/metered-ports.ts'
import { flinkMonth, idleMonth, kpusFor, monthOf, priceOf, standing, total } from '../../bench/bill/price.ts'
import { batchSeconds, simulate } from '../../bench/bill/simulate.ts'
import { noUsage, sum, times, type Usage } from '../../bench/bill/usage.ts'
import { loadQuery } from '../../bench/reference/run.ts'
import { MEMORY_MB } from '../../infra/stage-options.ts'
import { LANES } from '../../runtime/aws/concurrency.ts'
import { FOLD_LIMITS } from '../../runtime/aws/functions/materialise.ts'
import { PRICES as prices } from '../../runtime/cli/prices.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { exercise, STREAM } from './exercise.ts'

const used = (figures: Partial<Usage>): Usage => ({ ...noUsage(), ...figures })
const close = (actual: number, expected: number) => assert.ok(Math.abs(actual - expected) < 1e-6, `${actual}, not ${expected}`)

describe('prices', () => {
  test('what is used, by hand', () => {
    const million = priceOf(used({ putUnits: 1e6, commitUnits: 1e6, writeUnits: 1e6, readUnits: 1e6, s3Puts: 1e6, s3Gets: 1e6 }))
    close(million.kinesis, 0.014)
    // A commit is written, and deleted one day.
    close(million.dynamodb, 2 * 0.625 + 0.625 + 0.125)
    close(million.s3, 5 + 0.4)
    close(priceOf(used({ invocations: 1e6, billedMs: 50e6 })).lambda, 0.2 + 50_000 * (1769 / 1024) * 0.0000133334)
    close(priceOf(used({ invocations: 1e6 })).cloudWatch, 0.5)
    close(priceOf(used({ transitions: 15 * 43_800 })).stepFunctions, 16.425)
  })

  test('what stands, by hand: a source and a stage of two subtasks', () => {
    const stages = [
      { source: true, subtasks: 3 },
      { source: false, subtasks: 2 },
    ]
    close(standing(stages, false).kinesis, 2 * 10.95)
    close(standing(stages, false).cloudWatch, 13 * 0.1)
    close(standing(stages, true).cloudWatch, 13 * 0.1 + 12 * 0.3)
    const look = used({ invocations: 1, billedMs: 100, readUnits: 20 })
    const perLook = 0.000001 + 0.0000002 + 0.1 * (1769 / 1024) * 0.0000133334 + 20 * 0.000000125 + 0.0000005
    close(total(idleMonth(stages, look)), 21.9 + 1.3 + 43_800 * perLook)
  })

  test('Managed Flink: a KPU at least, one more, and its storage', () => {
    close(flinkMonth(1), 2 * 730 * 0.11 + 5)
    const kpus = (pipeline: string, rates: readonly number[]) => rates.map(rate => kpusFor(pipeline, rate))
    assert.deepEqual(kpus('q5', [10, 50_000, 200_000]), [1, 1, 2])
    assert.deepEqual(kpus('e1', [10_000, 50_000]), [1, 2])
    assert.throws(() => kpusFor('q99', 1), /no figure for q99/)
  })
})

describe('counts', () => {
  test('of each call of the ports, by hand', async () => {
    const ports = await openEmbedded()
    const usage = noUsage()
    await exercise(meteredPorts(ports, usage, { ms: 0 }, noSizes()), STREAM)
    await ports.close()
    assert.equal(usage.commits, 5)
    // Rows of some 400 bytes, and 500, 2,000 and 9,000 more; one that lost its race, of 1,500.
    assert.equal(usage.commitUnits, 1 + 1 + 3 + 1 + 10 + 2)
    assert.equal(usage.commitUnitsBesideState, 6)
    assert.equal(usage.expiredUnits, 1 + 1 + 3)
    // The floor; 1 + 3, then as large as the larger of old and new: 3 + 5.
    assert.equal(usage.writeUnits, 1 + 4 + 8)
    assert.equal(usage.stateUnits, 12)
    assert.equal(usage.stateBytes, 500 + 2_000 + 9_000 + 1_500 + 3_000)
    assert.deepEqual([usage.frames, usage.frameBytes, usage.putUnits], [2, 60_100, 1 + 3])
    assert.deepEqual([usage.s3Puts, usage.s3Gets], [2 + 1, 2])
  })

  test('calls that run side by side wait together', async () => {
    const ports = await openEmbedded()
    const waited = { ms: 0 }
    const { log, blobs } = meteredPorts(ports, noUsage(), waited, noSizes())
    await Promise.all([log.floor('a'), blobs.get('x'), log.floor('b')])
    assert.equal(waited.ms, 100)
    await log.floor('a')
    await log.floor('b')
    assert.equal(waited.ms, 110)
    await ports.close()
  })
})

describe('a simulation', () => {
  test('has a batch a second for each subtask, of all events, and a checkpoint each minute', async () => {
    const events = await openEvents('test/reference/data', 'ecom', 5_000)
    const app = await loadQuery('e1', 10_000)
    const cell = { app, events, rate: 50, sourceShards: 2, parallelism: 1, warmSeconds: 60, seconds: 180, asksOthers: false }
    const { stages, taking, looking, ...rest } = await simulate({ ...cell, windowSeconds: 0 })
    assert.deepEqual(rest, { seconds: 180, events: 9_000 })
    assert.deepEqual(
      stages.map(s => [s.subtasks, s.usage.invocations]),
      [
        [2, 360],
        [1, 180],
      ],
    )
    assert.deepEqual([taking.length, looking.invocations], [3, 3])
    // One of the three folds.
    const units = taking.map(t => t.stateUnits).sort((a, b) => a - b)
    assert.ok(units[2]! > 3 * units[1]!, `${units}`)
    // The definition's states, with one invocation that cuts both sources, and the one part that has state.
    assert.deepEqual([...new Set(taking.map(t => t.transitions))], [12 + 1 + 1])
    // The goal of issue 5.
    for (const { usage } of stages) assert.ok(usage.commitUnitsBesideState <= 2 * usage.commits)
  })

  test('a window of ten seconds makes batches larger, and fewer', async () => {
    assert.deepEqual([0, 1, 10].map(batchSeconds), [1, 1.5, 10.5])
    const events = await openEvents('test/reference/data', 'ecom', 2_000)
    const cell = { events, rate: 20, sourceShards: 1, parallelism: 1, warmSeconds: 0, seconds: 120, asksOthers: false }
    const { stages } = await simulate({ ...cell, app: await loadQuery('e1', 10_000), windowSeconds: 10 })
    assert.deepEqual(
      stages.map(s => s.usage.invocations > 9 && s.usage.invocations < 14),
      [true, true],
    )
  })
})

describe('what goes stale', () => {
  test('the goals of issue 5: q5 at a hundred events a second, and at idle', async () => {
    const events = await openEvents('test/reference/data', 'nexmark', 20_000)
    const cell = { app: await loadQuery('q5', 0), events, rate: 100, sourceShards: 1, parallelism: 1, asksOthers: false }
    const simulated = await simulate({ ...cell, windowSeconds: 0, warmSeconds: 60, seconds: 120 })
    const { commits, commitUnitsBesideState, stateBytes } = sum(simulated.stages.map(s => s.usage))
    assert.ok(commitUnitsBesideState <= 2 * commits, `${commitUnitsBesideState} write units for ${commits} commits`)
    assert.ok(stateBytes <= 10 * simulated.events, `${stateBytes} bytes of state for ${simulated.events} events`)
    const { stages, looking } = simulated
    assert.ok(total(idleMonth(stages, times(looking, 1 / looking.invocations))) < 25)
    assert.ok(total(monthOf(simulated)) < flinkMonth(kpusFor('q5', 100)))
  })

  test('what the bill takes from elsewhere is as it is there', () => {
    assert.equal(machine.writesAtATime, LANES)
    assert.equal(machine.memoryGb * 1024, MEMORY_MB)
  })

  test('the docs have the dates and limits of the code', () => {
    const text = (file: string) => readFileSync(file, 'utf8')
    const { changesMax, slotsMax, checkpointsMax, bytesMax } = FOLD_LIMITS
    const limits = [changesMax, slotsMax].map(n => n!.toLocaleString('en-US'))
    for (const file of ['docs/aws.md', 'docs/snapshot-format.md', 'docs/design.md'])
      for (const limit of [...limits, `${bytesMax >> 20} MB`]) assert.ok(text(file).includes(limit), `${file}: ${limit}`)
    assert.match(text('docs/aws.md'), new RegExp(`each ${checkpointsMax + 1} checkpoints`))
    for (const date of [prices.collected, machine.collected, flink.measured]) assert.ok(text('docs/bill.md').includes(date), date)
    // Whoever changes how Flink is counted has its tables to print again.
    assert.ok(text('docs/bill.md').includes(flinkMonth(1).toFixed(2)))
  })
})

test('events are sent again with the times, numbers and ids of new ones', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bill-'))
  writeFileSync(join(directory, 'nexmark-large.ndjson'), '{"type":"bid","auction":7,"bidder":1,"dateTime":5}\n')
  writeFileSync(join(directory, 'ecom-large.ndjson'), '{"event_id":"e1","user_id":"u","timestamp":"2024-03-01T12:00:00.059Z"}\n')
  const bids = await openEvents(directory, 'nexmark', 10)
  assert.equal(bids.next(1_000), '{"type":"bid","auction":7,"bidder":1,"dateTime":1000}')
  assert.equal(bids.next(2_000.5), '{"type":"bid","auction":10000007,"bidder":1,"dateTime":2000}')
  const clicks = await openEvents(directory, 'ecom', 10)
  assert.equal(clicks.next(0), '{"event_id":"e1","user_id":"u","timestamp":"1970-01-01T00:00:00.000Z"}')
  assert.match(clicks.next(0), /"event_id":"e1-1"/)
  await assert.rejects(openEvents(directory, 'recommendations', 10), /has no events for recommendations/)
})
