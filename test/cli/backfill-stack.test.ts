import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackfillPlan } from '../../runtime/aws/functions/backfill.ts'
import { estimate, estimateText } from '../../runtime/cli/stack/backfill/estimate.ts'
import { wavesOf } from '../../runtime/cli/stack/backfill/waves.ts'
import { millrace } from './cli.ts'

const stage = (id: string, from: number[], parallelism: number, rest: object = {}) => ({
  ...{ id, from, parallelism, commits: false, sends: false },
  ...rest,
})
const PLAN: BackfillPlan = {
  pipeline: 'shop',
  shape: 's',
  parallelism: 2,
  keyGroups: 128,
  stages: [
    stage('a', [], 1, { source: 'as' }),
    stage('b', [], 1, { source: 'bs' }),
    stage('join', [0, 1], 2, { commits: true }),
    stage('late', [0, 2], 3, { sends: true, commits: true }),
  ],
}

test('a stage comes behind all that it reads from; the savepoint behind all of them, then the sinks, then nothing is needed any more', () => {
  const waves = wavesOf(PLAN, 'r', { as: 3, bs: 1 }, 'savepoints/s')
  const text = waves.map(wave => wave.map(({ step, stage, shard }) => `${step} ${stage} ${shard}`).join(', '))
  assert.deepEqual(text, [
    'run a 0, run a 1, run a 2, run b 0',
    'run join 0, run join 1',
    'run late 0, run late 1, run late 2',
    'handover a 0',
    'commit join 0, commit late 0, send late 0, send late 1, send late 2',
    'forget a 0',
  ])
  assert.ok(waves.flat().every(task => task.run === 'r'))
})

test('lists are as long as the answers of a Distributed Map may be; a stage without tasks has none', () => {
  const waves = wavesOf(PLAN, 'r', { as: 25_000, bs: 0 }, undefined)
  assert.deepEqual(
    waves.slice(0, 4).map(wave => wave.length),
    [10_000, 10_000, 5_000, 2],
  )
})

test('the bill goes by bytes, unpacked, by what each stage gets, and by memory', () => {
  const pieces = (bytes: number, path = 's3://b/a.ndjson') => ({ as: [{ path, bytes }], bs: [] })
  const memory = { a: 1769, b: 1769, join: 1769, late: 1769 }
  const one = estimate(PLAN, { pieces: pieces(8e9) }, memory, 100)
  assert.deepEqual([one.files, one.bytes, one.tasks], [1, 8e9, 6])
  // a and join take 1,000 s of a CPU each, late twice that; 6 tasks begin and end, for 1.5 s each.
  const gbSeconds = (4000 + 6 * 1.5) * (1769 / 1024)
  assert.ok(Math.abs(one.lambda - gbSeconds * 0.0000133334) < 1e-4, `${one.lambda}`)
  const packed = estimate(PLAN, { pieces: pieces(8e9, 's3://b/a.ndjson.gz') }, memory, 100)
  assert.ok(packed.lambda > 5.9 * one.lambda && packed.bytes === one.bytes)
  const larger = estimate(PLAN, { pieces: pieces(8e9) }, { a: 3538, b: 3538, join: 3538, late: 3538 }, 100)
  assert.ok(Math.abs(larger.lambda / one.lambda - 2) < 0.01)
  assert.match(
    estimateText(one, 100),
    /^reads 8\.0 GB in 1 file, by 6 tasks, at most 100 at a time\ncosts about \$0\.\d\d: Lambda \$0\.09, /,
  )
})

test('what is of a stack, and what is not, is said before AWS is asked', async () => {
  for (const [flags, message] of [
    [['--stack', 'S', '--from', 's3://b/k', '--out', 'x'], /--out is of a backfill in this process/],
    [['--stack', 'S', '--from', 's3://b/k', '--workers', '2'], /--workers is of a backfill in this process/],
    [['views.ts', '--from', 'in', '--yes'], /--yes is of a backfill with --stack/],
    [['views.ts', '--from', 'in', '--concurrency', '2'], /--concurrency is of a backfill with --stack/],
  ] as const) {
    const { code, err } = await millrace(['backfill', ...flags])
    assert.equal(code, 2, err)
    assert.match(err, message)
  }
})
