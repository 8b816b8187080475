import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import * as z from 'zod'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import {
  boundedOutOfOrderness,
  count,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  sideOutput,
  sliding,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { scratch, sortedLines, writeEvents } from './events.ts'

const Event = z.object({ key: z.string(), at: z.number(), id: z.string() })
type Event = z.infer<typeof Event>

function source(disorder: `${number}h` | '0s' = '0s') {
  const app = pipeline('odd')
  const watermark = boundedOutOfOrderness(disorder)
  return { app, events: app.source('events', ndjson(Event), { time: e => e.at, watermark }) }
}

async function run(t: { after(fn: () => void): void }, app: Pipeline, events: readonly Event[], options: RunOptions = {}) {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), events)
  const sinks = { out: fileSink(join(dir, 'out')) }
  const state = options.stateMemory === undefined ? {} : { state: join(dir, 'state') }
  const summary = await runEmbedded(app.graph(), { sources: { events: fileSource([input]) }, sinks, ...state, ...options })
  return { summary, rows: sortedLines(join(dir, 'out')).map(line => JSON.parse(line)) }
}

const COLD = { stateMemory: 1, checkpointMs: 1, batchSize: 3 }

test('keys, map keys, ids and values may hold any UTF-16, and be long: halves of surrogate pairs, NUL, a page of text', async t => {
  const half = '😀'.slice(0, 1)
  const odd = [
    half,
    '😀'.slice(1),
    `${half}x`,
    '\u0000',
    '\u0000n',
    '\uffff',
    '',
    ' ',
    '~',
    '|',
    'é'.repeat(600),
    `${'é'.repeat(600)}!`,
  ]
  const events: Event[] = []
  for (let round = 0; round < 3; round++)
    for (const [i, key] of odd.entries()) events.push({ key, at: round * 1000 + i, id: `${key}${round % 2}` })
  for (const options of [{}, { parallelism: 3 }, COLD]) {
    const { app, events: stream } = source()
    stream
      .keyBy('key')
      .dedup('id', { ttl: '1h' })
      .process({
        state: { texts: map<string, string>(), n: value<number>() },
        onRecord(e, ctx) {
          const n = (ctx.state.n.get() ?? 0) + 1
          ctx.state.n.set(n)
          const subkey = e.key.slice(0, 3)
          const before = ctx.state.texts.get(subkey)
          ctx.state.texts.set(subkey, e.key)
          ctx.timers.event.set(e.at + 10_000)
          assert.ok(before === undefined || before === e.key)
        },
        onTimer(at, ctx) {
          return [{ key: ctx.key, at, n: ctx.state.n.get(), texts: ctx.state.texts.entries() }]
        },
      })
      .sink('out', print())
    const { rows } = await run(t, app, events, options)
    // Each id comes first in one of the first two rounds; the third is the first again.
    const expected = odd.flatMap((key, i) =>
      [0, 1].map(round => ({ key, at: round * 1000 + i + 10_000, n: 2, texts: [[key.slice(0, 3), key]] })),
    )
    const order = (list: any[]) => list.map(r => JSON.stringify(r)).sort()
    assert.deepEqual(order(rows), order(expected), JSON.stringify(options))
  }
})

test('a map key that no store has room for is refused with the name of the state', async t => {
  const { app, events } = source()
  events
    .keyBy('key')
    .process({
      state: { texts: map<string, number>() },
      onRecord(e, ctx) {
        ctx.state.texts.set('x'.repeat(2000), e.at)
      },
    })
    .sink('out', print())
  await assert.rejects(run(t, app, [{ key: 'a', at: 1, id: '1' }]), /map state 'texts' was given a key of 2000 characters/)
})

test('times between two milliseconds count as the one before: windows, panes and given timestamps agree', async t => {
  const times = [0.5, 1000.2, 999.9, 1999.999, 2000.001]
  const events = times.map((at, i) => ({ key: 'a', at, id: `${i}` }))
  const tag = sideOutput<{ id: string }>('tag')
  for (const size of [1000, 2000]) {
    const window = size === 1000 ? tumbling('1s') : sliding('2s', '1s')
    const counted = source('1h')
    counted.events
      .keyBy('key')
      .window(window)
      .aggregate(count(), (n, w) => [w.window.start, n])
      .sink('out', print())
    const panes = await run(t, counted.app, events)
    const listed = source('1h')
    listed.events
      .keyBy('key')
      .process({
        state: {},
        onRecord(e, ctx) {
          ctx.output(tag, { id: e.id }, e.at + 0.7)
        },
      })
      .sideOutput(tag)
      .keyBy(() => 'a')
      .window(window)
      .process((records, w) => [[w.window.start, records.length]])
      .sink('out', print())
    const given = await run(t, listed.app, events)
    const naive = (shift: number) => {
      const starts = new Map<number, number>()
      for (const time of times) {
        const at = Math.floor(time + shift)
        for (let start = Math.floor(at / 1000) * 1000; start > at - size; start -= 1000)
          starts.set(start, (starts.get(start) ?? 0) + 1)
      }
      return [...starts].map(row => JSON.stringify(row)).sort()
    }
    assert.deepEqual(panes.rows.map(row => JSON.stringify(row)).sort(), naive(0))
    assert.deepEqual(given.rows.map(row => JSON.stringify(row)).sort(), naive(0.7))
    assert.equal(panes.summary.late + given.summary.late, 0)
  }
})

test('with an allowed lateness no duplicate passes, in whatever order firsts and duplicates come', async t => {
  const TTL = 3_600_000
  const minutes = [180, 30, 30, 30, 0, 70, 0, 69, 140, 139, 100, 10, 250, 180]
  const events = minutes.map(m => ({ key: 'a', at: m * 60_000, id: 'X' }))
  const firsts: number[] = []
  for (const { at } of events) if (!firsts.some(first => Math.abs(at - first) < TTL)) firsts.push(at)
  for (const options of [{}, COLD]) {
    const { app, events: stream } = source('0s')
    stream.keyBy('key').dedup('id', { ttl: '1h', allowedLateness: '5h' }).sink('out', print())
    const { rows } = await run(t, app, events, options)
    assert.deepEqual(
      rows.map(r => r.at).sort((a, b) => a - b),
      firsts.toSorted((a, b) => a - b),
    )
  }
})
