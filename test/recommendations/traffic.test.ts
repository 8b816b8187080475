import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ShopEvent } from '../../examples/recommendations/events.ts'
import { traffic } from '../../examples/recommendations/traffic.ts'
import { plainKept, readEvents } from './plain.ts'

const sample = fileURLToPath(new URL('../../examples/recommendations/sample.ndjson.gz', import.meta.url))
const generator = fileURLToPath(new URL('../../examples/recommendations/generator.ts', import.meta.url))
const HOUR = 3_600_000

test('the same options give the same events, another seed gives others, and all of them are valid', () => {
  const options = { users: 50, minutes: 5, rate: 10, seed: 3 }
  const events = [...traffic(options)]
  assert.ok(events.length > 2_500 && events.length < 4_500, String(events.length))
  assert.deepEqual([...traffic(options)], events)
  assert.notDeepEqual([...traffic({ ...options, seed: 4 })], events)
  for (const event of events) assert.deepEqual(ShopEvent.parse(event), event)
})

test('disorder, late events and duplicates come in the shares that the page names', () => {
  const events = [...traffic({ users: 500, minutes: 60, rate: 20, bots: 0 })]
  let newest = 0
  let disordered = 0
  let late = 0
  const seen = new Set<string>()
  let twice = 0
  for (const { timestamp, event_id } of events) {
    if (timestamp < newest) disordered++
    if (timestamp < newest - 10_000) late++
    newest = Math.max(newest, timestamp)
    if (event_id !== undefined && seen.has(event_id)) twice++
    if (event_id !== undefined) seen.add(event_id)
  }
  assert.ok(disordered / events.length > 0.3)
  assert.ok(late / events.length > 0.003 && late / events.length < 0.01, `late ${late / events.length}`)
  assert.ok(twice / events.length > 0.007 && twice / events.length < 0.013, `twice ${twice / events.length}`)
})

test('the sample is what the generator makes, and has all that the pipeline must cope with', () => {
  const events = readEvents(sample)
  assert.deepEqual(events, [...traffic({ users: 80, minutes: 75, rate: 3 })])
  const kept = plainKept(events)
  const first = new Map<string, number>()
  let oldDuplicates = 0
  for (const { event_id, timestamp } of events) {
    if (event_id === undefined) continue
    if (timestamp - (first.get(event_id) ?? timestamp) >= HOUR) oldDuplicates++
    if (!first.has(event_id)) first.set(event_id, timestamp)
  }
  assert.ok(oldDuplicates > 0)
  assert.ok(kept.some(one => one.event.timestamp <= one.watermark))
  assert.ok(events.filter(event => event.user_id === 'bot1').length > kept.filter(one => one.event.user_id === 'bot1').length)
  assert.ok(events.some(event => event.item_id.startsWith('new-')))
})

test('the command writes lines, says what it can do, and refuses what it cannot', () => {
  const run = (...args: string[]): string =>
    execFileSync(process.execPath, [generator, ...args], { encoding: 'utf8', stdio: 'pipe' })
  const lines = run('--users', '5', '--minutes', '1', '--events', '30', '--bots', '0', '--start', '1000000').trim().split('\n')
  assert.ok(lines.length > 15 && lines.length < 60, String(lines.length))
  assert.ok(JSON.parse(lines[0]!).timestamp >= 1_000_000)
  assert.match(run('--help'), /--minutes N/)
  assert.throws(() => run('--users', 'many'), { status: 2, stderr: '--users many: not a number it can be\n' })
})
