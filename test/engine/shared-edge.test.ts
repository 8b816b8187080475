import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { count, monotonous, ndjson, pipeline, print, sum, tumbling } from '../../runtime/index.ts'
import { Event, generate, scratch, sortedLines, writeEvents } from './events.ts'

/** Three operators of one stage read the events by user: a sum, a count, and both sides of a join. */
function readThrice() {
  const app = pipeline('thrice')
  const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
  const users = events.keyBy('user')
  users
    .window(tumbling('10s'))
    .aggregate(sum('amount'), (total, { key, window }) => ({ user: key, total, start: window.start }))
    .sink('totals', print())
  events
    .keyBy('user')
    .window(tumbling('10s'))
    .aggregate(count(), (n, { key, window }) => ({ user: key, n, start: window.start }))
    .sink('counts', print())
  users
    .join(users)
    .window(tumbling('10s'))
    .apply((l, r, { key }) => ({ user: key, l: l.id, r: r.id }))
    .sink('pairs', print())
  return app
}

function windowsOf(events: readonly Event[]): Event[][] {
  const windows = new Map<string, Event[]>()
  for (const e of events) {
    const window = `${e.user}/${Math.floor(e.at / 10_000)}`
    windows.set(window, [...(windows.get(window) ?? []), e])
  }
  return [...windows.values()]
}

test('records that several operators of a stage read alike travel once, and each of them gets them', async t => {
  const dir = scratch(t)
  const events = generate(400, 11).sort((a, b) => a.at - b.at)
  const input = writeEvents(join(dir, 'events.ndjson'), events)
  const names = ['totals', 'counts', 'pairs'] as const
  const summary = await runEmbedded(readThrice().graph(), {
    parallelism: 3,
    sources: { events: fileSource([input]) },
    sinks: Object.fromEntries(names.map(name => [name, fileSink(join(dir, name))])),
  })
  assert.deepEqual(
    summary.stages.map(s => [s.recordsIn, s.recordsOut]),
    [
      [events.length, events.length],
      [events.length, 0],
    ],
  )
  const lines = (rows: readonly unknown[]) => rows.map(r => JSON.stringify(r)).sort()
  const windows = windowsOf(events)
  const start = (w: readonly Event[]) => Math.floor(w[0]!.at / 10_000) * 10_000
  assert.deepEqual(
    sortedLines(join(dir, 'totals')),
    lines(windows.map(w => ({ user: w[0]!.user, total: w.reduce((n, e) => n + e.amount, 0), start: start(w) }))),
  )
  assert.deepEqual(
    sortedLines(join(dir, 'counts')),
    lines(windows.map(w => ({ user: w[0]!.user, n: w.length, start: start(w) }))),
  )
  assert.deepEqual(
    sortedLines(join(dir, 'pairs')),
    lines(windows.flatMap(w => w.flatMap(l => w.map(r => ({ user: l.user, l: l.id, r: r.id }))))),
  )
})
