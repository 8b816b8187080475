import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { scratch } from '../engine/events.ts'
import { digest, digests, sortedLines } from './expected.ts'

const MAIN = join(import.meta.dirname, '../../bench/reference/main.ts')
const DATA = join(import.meta.dirname, 'data')

function reference(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' })
}

test('the command writes the folded rows, over what was there, and says so in one line', t => {
  const dir = scratch(t)
  const out = join(dir, 'rows.ndjson')
  writeFileSync(out, 'old\n')
  const events = join(DATA, 'nexmark-small.ndjson.gz')
  const { stdout, stderr, status } = reference('q4', '--events', events, '--bound', '0', '--out', out, '--parallelism', '2')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^\{.*\}\n$/)
  const { query, events: read, rows, results, parallelism, outcome } = JSON.parse(stdout)
  assert.deepEqual(
    { query, read, rows, parallelism, outcome },
    { query: 'q4', read: 20_000, rows: 5, parallelism: 2, outcome: 'finished' },
  )
  assert.ok(results > rows)
  assert.deepEqual(digest(sortedLines(out)), digests['nexmark-small']!.q4)
  assert.equal(existsSync(`${out}.changes`), false)
})

test('the command says what is missing or wrong', t => {
  const dir = scratch(t)
  const out = join(dir, 'rows.ndjson')
  for (const [args, message] of [
    [[], /name one query/],
    [['q99', '--events', 'x', '--bound', '0', '--out', out], /there is no query q99/],
    [['q0', '--bound', '0', '--out', out], /--events is missing/],
    [['q0', '--events', 'x', '--out', out], /--bound .*whole number/],
    [['q0', '--events', 'x', '--bound', '0'], /--out is missing/],
    [['q0', '--events', 'x', '--bound', '0', '--out', out, '--parallel', '1'], /Unknown option '--parallel'/],
  ] as [string[], RegExp][]) {
    const { stderr, status } = reference(...args)
    assert.equal(status, 2)
    assert.match(stderr, message)
  }
  const { stderr, status } = reference('q0', '--events', join(dir, 'none.ndjson'), '--bound', '0', '--out', out)
  assert.equal(status, 1)
  assert.match(stderr, /none\.ndjson/)
})
