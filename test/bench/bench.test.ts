import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { parseArguments, UsageError } from '../../bench/arguments.ts'
import { scratch } from '../engine/events.ts'

const BENCH = join(import.meta.dirname, '../../bench/main.ts')
const EVENTS = join(import.meta.dirname, '../reference/data/nexmark-small.ndjson.gz')

const bench = (...words: string[]) => spawnSync(process.execPath, [BENCH, ...words], { encoding: 'utf8' })

test('one line a query, and the same as JSON: with the protocol and without', { timeout: 120_000 }, t => {
  const json = join(scratch(t), 'figures.json')
  for (const once of ['on', 'off']) {
    const run = bench('q2', 'q5', '--events', EVENTS, '--exactly-once', once, '--json', json)
    assert.equal(run.status, 0, run.stderr)
    const lines = run.stdout.trim().split('\n')
    assert.deepEqual(
      lines.slice(2).map(line => line.split('|')[1]!.trim()),
      ['q2', 'q5'],
    )
    const { exactlyOnce, results } = JSON.parse(readFileSync(json, 'utf8'))
    assert.equal(exactlyOnce, once === 'on')
    for (const { ours } of results) {
      assert.equal(ours.events, 20_000)
      assert.ok(ours.cpuSeconds > 0 && ours.peakMb > 0 && ours.checkpoints >= 1)
    }
    assert.match(run.stderr, /q5, run 1 of 1: millrace … \d+ k events\/CPU-s/)
  }
})

test('beside Flink: the ratio to the better of its figures, and the peak of its processes', { timeout: 120_000 }, t => {
  const dir = scratch(t)
  mkdirSync(join(dir, 'data'))
  writeFileSync(join(dir, 'data/nexmark-large.ndjson'), '')
  // What bench.sh prints, as of Flink 2.3.0.
  const line = (cpu: number) =>
    `q2 ds nexmark-large p=1 ckpt discard events=2000000 job_s=7.09 ev_per_s=2 with_jvm_s=9.5 ev_per_s_with_jvm=1 cpu_s=${cpu} ev_per_cpu_s=9 cpu_all_s=12.17 last_ckpt=7 load=2`
  writeFileSync(join(dir, 'bench.sh'), `#!/bin/sh\n[ $3 = ds ] && echo "${line(10)}" || echo "${line(20)}"\n`)
  chmodSync(join(dir, 'bench.sh'), 0o755)
  const json = join(dir, 'figures.json')
  writeFileSync(
    join(dir, 'data/nexmark-large.ndjson'),
    '{"type":"bid","auction":123,"bidder":1,"price":5,"channel":"c","url":"u","dateTime":1,"extra":""}\n',
  )
  const run = bench('q2', '--vs-flink', dir, '--json', json)
  assert.equal(run.status, 0, run.stderr)
  const [{ ours, flink, ratio }] = JSON.parse(readFileSync(json, 'utf8')).results
  assert.equal(flink.ds.cpuSeconds, 10)
  assert.equal(flink.sql.cpuSeconds, 20)
  assert.equal(flink.ds.checkpoints, 7)
  assert.deepEqual([flink.ds.seconds, flink.ds.processSeconds], [7.09, 9.5])
  assert.ok(ours.processSeconds > ours.seconds)
  assert.ok(Math.abs(ratio - ours.events / ours.cpuSeconds / 200_000) < 1e-9)
})

test('with more subtasks a query works in threads, and gives as many results', { timeout: 120_000 }, t => {
  const json = join(scratch(t), 'figures.json')
  const results = ['1', '2'].map(parallelism => {
    const run = bench('q5', '--events', EVENTS, '--parallelism', parallelism, '--json', json)
    assert.equal(run.status, 0, run.stderr)
    return JSON.parse(readFileSync(json, 'utf8')).results[0].ours.results
  })
  assert.ok(results[0] > 0)
  assert.equal(results[0], results[1])
})

test('the scale curves: a line for each number of keys and of subtasks', { timeout: 120_000 }, t => {
  const json = join(scratch(t), 'points.json')
  const run = bench('--scale', '--keys', '10,3000', '--subtasks', '1,3', '--events', '2000', '--state-mb', '1', '--json', json)
  assert.equal(run.status, 0, run.stderr)
  const cells = run.stdout.trim().split('\n').slice(2)
  const line = (text: string) =>
    text
      .split('|')
      .slice(1, 6)
      .map(cell => cell.trim())
  assert.deepEqual(cells.map(line), [
    ['10', '1', '2000', 'millrace, table', '1'],
    ['10', '3', '2000', 'millrace, table', '1'],
    ['3000', '1', '3000', 'millrace, table', '1'],
    ['3000', '3', '3000', 'millrace, table', '1'],
  ])
  for (const { measured } of JSON.parse(readFileSync(json, 'utf8')).points)
    assert.ok(measured.cpuSeconds > 0 && measured.peakMb > 0)
  assert.match(bench('--scale', '--help').stdout, /--subtasks N/)
  const refused = bench('--scale', '--keys', 'many')
  assert.equal(refused.status, 2)
  assert.match(refused.stderr, /--keys many has to be a whole number from 1/)
})

test('the scale curves beside Flink, with the backends that its libraries have', { timeout: 120_000 }, t => {
  const dir = scratch(t)
  const lib = join(dir, 'build/2.3.0/lib')
  mkdirSync(lib, { recursive: true })
  writeFileSync(join(lib, 'flink-statebackend-rocksdb-2.3.0.jar'), '')
  const command = (name: string, script: string) => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(dir, name), 0o755)
  }
  command('javac', 'exit 0')
  // Of its arguments the last ones are KEYS SUBTASKS EVENTS STRIDE CHECKPOINT_MS BACKEND.
  command(
    'java',
    `for last; do :; done; [ $last = rocksdb ] && cpu=6 || cpu=3; echo "{\\"events\\":1000,\\"seconds\\":2,\\"cpuSeconds\\":$cpu,\\"checkpoints\\":4}"`,
  )
  const json = join(dir, 'points.json')
  const words = [
    '--scale',
    '--keys',
    '10',
    '--subtasks',
    '1',
    '--events',
    '1000',
    '--backend',
    'table,segments',
    '--vs-flink',
    dir,
    '--json',
    json,
  ]
  const run = spawnSync(process.execPath, [BENCH, ...words], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${dir}:${process.env.PATH}` },
  })
  assert.equal(run.status, 0, run.stderr)
  const { points } = JSON.parse(readFileSync(json, 'utf8'))
  assert.deepEqual(
    points.map((point: { system: string }) => point.system),
    ['millrace, table', 'millrace, segments', 'Flink, hashmap', 'Flink, rocksdb'],
  )
  assert.deepEqual([points[2].measured.cpuSeconds, points[3].measured.cpuSeconds], [3, 6])
  assert.match(run.stdout, /Flink, rocksdb \|\s+default \|\s+6000\.0 \|\s+1 k \|/)
  const refused = bench('--scale', '--vs-flink', '/nowhere')
  assert.equal(refused.status, 2)
  assert.match(refused.stderr, /make it with \.\/build\.sh/)
})

test('mistakes are told, with what there is', () => {
  const refused: [string[], RegExp][] = [
    [['q5'], /give either --events FILE or --vs-flink DIR/],
    [['q5', '--events', EVENTS, '--vs-flink', '.'], /give either/],
    [['--events', EVENTS], /name at least one query/],
    [['q99', '--events', EVENTS], /there is no query q99/],
    [['q5', '--events', EVENTS, '--exactly-once', 'maybe'], /--exactly-once maybe has to be on or off/],
    [['q5', '--events', EVENTS, '--parallelism', '0'], /--parallelism 0 has to be a whole number from 1/],
    [['q5', '--vs-flink', '/nowhere'], /there is no bench.sh/],
  ]
  for (const [words, message] of refused) {
    assert.throws(
      () => parseArguments(words),
      error => error instanceof UsageError && message.test(error.message),
    )
  }
  assert.equal(parseArguments(['--help']), undefined)
  const run = bench('q5', '--events', '/nowhere/events.ndjson')
  assert.equal(run.status, 2)
  assert.match(run.stderr, /there is no such file/)
})
