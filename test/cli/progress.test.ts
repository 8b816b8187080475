import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorText, UsageError } from '../../runtime/cli/error.ts'
import { bytes, count, duration, rate, watermark } from '../../runtime/cli/format.ts'
import { progressLine, progressView } from '../../runtime/cli/progress.ts'
import { summaryJson, summaryText } from '../../runtime/cli/summary.ts'
import type { Progress, RunSummary } from '../../runtime/embedded/run-options.ts'
import { MillraceError } from '../../runtime/errors.ts'

const START = Date.UTC(2026, 0, 1)

function at(elapsedMs: number, events: number, more: Partial<Progress> = {}): Progress {
  return {
    events,
    elapsedMs,
    deadLetters: 0,
    late: 0,
    results: 0,
    watermark: START,
    backlogBytes: 0,
    checkpoints: { completed: 0, failed: 0, last: 0 },
    ...more,
  }
}

function stream(isTTY: boolean, columns = 200) {
  const written: string[] = []
  return { isTTY, columns, written, write: (text: string) => written.push(text) }
}

test('a terminal gets one line, rewritten, never longer than the terminal is wide', () => {
  const terminal = stream(true, 60)
  const view = progressView(terminal, () => START + 65_000)
  view.update(at(250, 1000))
  view.update(at(500, 3000, { backlogBytes: 2_500_000, deadLetters: 3 }))
  view.clear()
  assert.equal(terminal.written.length, 3)
  for (const text of terminal.written) {
    assert.ok(text.startsWith('\r') && text.endsWith('\u001b[K'))
    assert.ok(text.length - 4 <= 59 && !text.includes('\n'))
  }
  assert.match(terminal.written[0]!, /1,000 events {2}4\.00 k\/s {2}watermark 2026-01-01T00/)
})

test('elsewhere a plain line comes every five seconds', () => {
  const file = stream(false)
  const view = progressView(file, () => START + 65_000)
  for (let t = 250; t <= 12_000; t += 250)
    view.update(at(t, t * 10, { checkpoints: { completed: 4, failed: 1, last: 4 }, backlogBytes: 1500 }))
  view.clear()
  const line = (events: string) =>
    `${events} events  10.0 k/s  watermark 2026-01-01T00:00:00.000Z  lag 1 min 5 s  1.5 kB waiting for later stages  4 checkpoints (1 failed)\n`
  assert.deepEqual(file.written, [line('50,000'), line('100,000')])
})

test('the rate is that of the last seconds, not of the whole run', () => {
  const terminal = stream(true)
  const view = progressView(terminal)
  for (let t = 1000; t <= 20_000; t += 1000) view.update(at(t, t <= 10_000 ? 0 : (t - 10_000) * 5))
  assert.match(terminal.written.at(-1)!, / 5\.00 k\/s /)
})

test('what would only puzzle is left out: the lag of an old file, a rate of 0 while later stages work', () => {
  const once = { completed: 1, failed: 0, last: 1 }
  const line = (more: Partial<Progress>, now = START) =>
    progressLine(at(9000, 1000, { checkpoints: once, ...more }), at(4000, 1000), now)
  const mark = 'watermark 2026-01-01T00:00:00.000Z'
  assert.equal(line({}, START + 172 * 86_400_000), `1,000 events  0/s  ${mark}  1 checkpoint`)
  assert.equal(line({ results: 500 }), `1,000 events  100 results/s  ${mark}  lag 0 ms  1 checkpoint`)
  assert.equal(
    line({ backlogBytes: 1500, deadLetters: 1 }),
    `1,000 events  ${mark}  lag 0 ms  1.5 kB waiting for later stages  1 checkpoint  1 dead letter`,
  )
})

test('numbers for people', () => {
  assert.deepEqual(
    [count(1234567), rate(950.4), rate(12_345), rate(999_900), bytes(999), bytes(1_234_567)],
    ['1,234,567', '950', '12.3 k', '1.00 M', '999 B', '1.2 MB'],
  )
  assert.deepEqual([350, 12_340, 303_000, 7_500_000, 1e11].map(duration), [
    '350 ms',
    '12.3 s',
    '5 min 3 s',
    '2 h 5 min',
    '1,157 d',
  ])
  assert.deepEqual([-Infinity, Infinity, START].map(watermark), ['none yet', 'end of input', '2026-01-01T00:00:00.000Z'])
})

const SUMMARY: RunSummary = {
  ...at(2000, 5000, { watermark: Infinity, checkpoints: { completed: 3, failed: 0, last: 3 }, deadLetters: 2 }),
  outcome: 'finished',
  firstDeadLetter: { source: 'views', position: 'views.ndjson, up to line 3', reason: 'invalid: user: a string\n is needed' },
  pipeline: 'shop',
  run: 'r1',
  resumed: true,
  total: { events: 12_000, deadLetters: 3, late: 1, results: 90 },
  endedBefore: [],
  nothingToRead: false,
  stages: [{ id: 'clicks', subtasks: 2, commits: 10, recordsIn: 5000, recordsOut: 4998 }],
  sinks: { trending: 40 },
}

test('the summary, for people and for programs', () => {
  const text = summaryText(SUMMARY, { trending: 'out/trending.ndjson' })
  assert.match(text, /^shop finished \(resumed\) after 2\.0 s\n/)
  assert.match(text, /12,000 since the run began, 5,000 in this process \(2\.50 k\/s\)\n/)
  assert.match(
    text,
    /dead letters {2}3 since the run began, 2 in this process, the first: invalid: user: a string is needed \(views\.ndjson, up to line 3\)\n/,
  )
  assert.match(text, /results +90 since the run began, 0 in this process\n/)
  const first: RunSummary = { ...SUMMARY, resumed: false, deadLetters: 1, total: { ...SUMMARY.total, deadLetters: 1 } }
  assert.match(summaryText(first, {}), /events {8}5,000 \(2\.50 k\/s\)\n[\s\S]*dead letters {2}1: invalid: user/)
  assert.match(text, /sink trending: 40 records in this process to out\/trending\.ndjson\n/)
  assert.match(text, /clicks +2 +10 +5,000 +4,998\n$/)
  const json = JSON.parse(summaryJson(SUMMARY))
  assert.deepEqual([json.watermark, json.outcome, json.sinks.trending], [null, 'finished', 40])
})

test('an error shows its message, operator and cause, and its stack only when asked', () => {
  const cause = new TypeError("Cannot read properties of undefined (reading 'x')")
  const error = Object.assign(new MillraceError('a record could not be processed', { cause }), { operator: 'map-1' })
  assert.equal(
    errorText(error, false),
    "millrace: a record could not be processed (in the operator map-1)\n  caused by: TypeError: Cannot read properties of undefined (reading 'x')",
  )
  assert.equal(
    errorText(new MillraceError(`map failed: ${cause.message}`, { cause }), false),
    `millrace: map failed: ${cause.message}`,
  )
  assert.equal(errorText(new UsageError('wrong', { cause }), false), 'millrace: wrong')
  assert.match(errorText(error, true), /at .*progress\.test\.ts[\s\S]*caused by: TypeError/)
})
