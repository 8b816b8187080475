import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'
import { COUNTS, events } from './counts.ts'

const run = ['run', 'counts.ts', '--source', 'events=a.ndjson', '--checkpoint', '10ms', '--batch', '100']

test('a run starts from a kept checkpoint of another: its file is cut there and ends the same; a new file has what comes after', async () => {
  const cwd = directoryWith({ 'counts.ts': COUNTS, 'a.ndjson': events })
  const first = await millrace([...run, '--state', 's', '--out', 'o'], { cwd })
  assert.equal(first.code, 0, first.err)
  const whole = readFileSync(join(cwd, 'o/counts.ndjson'), 'utf8')
  const listed = JSON.parse((await millrace(['checkpoints', 's', '--json'], { cwd })).out) as { n: number; kept: boolean }[]
  const kept = listed.filter(c => c.kept).map(c => c.n)
  assert.equal(kept.length, Math.min(3, listed.length))
  assert.ok(listed.length > 1)
  const oldest = `s@${kept[0]}`
  const fork = await millrace([...run, '--from-snapshot', oldest, '--state', 'f', '--out', 'of', '--json'], { cwd })
  assert.equal(fork.code, 0, fork.err)
  const rest = readFileSync(join(cwd, 'of/counts.ndjson'), 'utf8')
  assert.ok(rest.length < whole.length)
  assert.ok(whole.endsWith(rest))
  const back = await millrace([...run, '--from-snapshot', oldest, '--state', 's', '--out', 'o'], { cwd })
  assert.equal(back.code, 0, back.err)
  assert.equal(readFileSync(join(cwd, 'o/counts.ndjson'), 'utf8'), whole)
  const again = await millrace(['checkpoints', 's'], { cwd })
  assert.match(again.out, new RegExp(`restored from checkpoint ${kept[0]} of run`))
})

test('a snapshot that is not there, or a directory in use, is one sentence and exit code 2', async () => {
  const cwd = directoryWith({ 'counts.ts': COUNTS, 'a.ndjson': events.slice(0, events.indexOf('\n') + 1), 'b/x': '' })
  assert.equal((await millrace([...run, '--state', 's', '--out', 'o'], { cwd })).code, 0)
  const mistakes: [string[], RegExp][] = [
    [['--from-snapshot', 'none'], /--from-snapshot none: there is no none: name a savepoint, a state directory/],
    [['--from-snapshot', 's@99'], /has no checkpoint 99 to start from: it has kept 1/],
    [['--from-snapshot', 's', '--parallelism', '300'], /only 128 key groups/],
  ]
  for (const [args, sentence] of mistakes) {
    const { code, err } = await millrace([...run, '--out', 'p', ...args], { cwd })
    assert.equal(code, 2, err)
    assert.match(err, sentence)
    assert.equal(err.trimEnd().split('\n').length, 1, err)
  }
  assert.equal((await millrace([...run, '--from-snapshot', 's', '--state', 't', '--out', 'p'], { cwd })).code, 0)
  const again = await millrace([...run, '--from-snapshot', 's', '--state', 't', '--out', 'p'], { cwd })
  assert.equal(again.code, 0, 'the same command goes on with what it began')
  assert.equal((await millrace([...run, '--state', 'u', '--out', 'p'], { cwd })).code, 0)
  const used = await millrace([...run, '--from-snapshot', 's', '--state', 'u', '--out', 'p'], { cwd })
  assert.equal(used.code, 2)
  assert.match(used.err, /u holds a run already/)
})

test("--keep-open: yesterday's state goes on with today's files, sums and a window over midnight too", async () => {
  const sums = COUNTS.replace('monotonous, ', 'boundedOutOfOrderness, sum, tumbling, ')
    .replace('monotonous()', "boundedOutOfOrderness('5m')")
    .replace(
      'export default',
      `app
  .source('again', ndjson(z.object({ item: z.string(), time: z.number() })), { time: e => e.time, watermark: boundedOutOfOrderness('5m') })
  .keyBy('item')
  .window(tumbling('8h', { offset: '4h' }))
  .aggregate(sum('time'), (total, { key, window }) => ({ item: key, from: window.start, total }))
  .sink('shifts', print())
export default`,
    )
  const day = 86_400_000
  const record = (_: unknown, i: number) =>
    `${JSON.stringify({ item: `i${i % 3}`, time: i * 600_000 + ((i * 7) % 5) * 50_000 })}\n`
  const all = Array.from({ length: (2 * day) / 600_000 }, record)
  const half = all.length / 2
  const cwd = directoryWith({
    'sums.ts': sums,
    'mon.ndjson': all.slice(0, half).join(''),
    'tue.ndjson': all.slice(half).join(''),
    'both.ndjson': all.join(''),
  })
  const over = async (file: string, ...args: string[]) => {
    const { code, out, err } = await millrace(
      ['run', 'sums.ts', '--source', `events=${file}`, '--source', `again=${file}`, ...args],
      { cwd },
    )
    assert.equal(code, 0, err)
    return out
  }
  const lines = (...names: string[]) =>
    names.flatMap(name => readFileSync(join(cwd, name), 'utf8').split('\n').filter(Boolean)).sort()
  await over('both.ndjson', '--out', 'both')
  assert.match(await over('mon.ndjson', '--out', 'mon', '--state', 's1', '--keep-open'), /^counts kept open after/)
  await over('tue.ndjson', '--out', 'tue', '--state', 's2', '--from-snapshot', 's1', '--new-input')
  for (const sink of ['counts', 'shifts'])
    assert.deepEqual(lines(`mon/${sink}.ndjson`, `tue/${sink}.ndjson`), lines(`both/${sink}.ndjson`), sink)
  const midnight = lines('tue/shifts.ndjson').filter(line => JSON.parse(line).from < day)
  assert.equal(midnight.length, 3, 'the shift over midnight is told of by the second day')
  const nowhere = await millrace(
    ['run', 'sums.ts', '--source', 'events=mon.ndjson', '--source', 'again=mon.ndjson', '--out', 'x', '--keep-open'],
    { cwd },
  )
  assert.equal(nowhere.code, 2)
  assert.match(nowhere.err, /--keep-open goes with --state only/)
})
