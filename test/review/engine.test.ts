import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import type { SourceConnector } from '../../runtime/connectors/source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { listCheckpoints } from '../../runtime/embedded/inspect.ts'
import { customSink, fileSink, fileSource, monotonous, ndjson, pipeline, print } from '../../runtime/index.ts'

const Event = z.object({ key: z.string(), at: z.number() })

function directory(): { dir: string; events: ReturnType<typeof fileSource> } {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'))
  const file = join(dir, 'in.ndjson')
  writeFileSync(file, Array.from({ length: 30 }, (_, i) => `${JSON.stringify({ key: `k${i % 3}`, at: i })}\n`).join(''))
  return { dir, events: fileSource([file]) }
}

const source = (app: ReturnType<typeof pipeline>) =>
  app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })

test('a finished run that is started again adds nothing, whatever processing timers are left', async () => {
  const { dir, events } = directory()
  const lines = []
  for (let i = 0; i < 3; i++) {
    const app = pipeline('again')
    source(app)
      .keyBy('key')
      .process({
        onRecord(_e, ctx) {
          ctx.timers.processing.set(1)
        },
        onTimer(_at, ctx) {
          ctx.timers.processing.set(ctx.processingTime() + 20)
          return [ctx.key]
        },
      })
      .sink('out', print())
    const summary = await runEmbedded(app.graph(), {
      state: join(dir, 'state'),
      batchSize: 100,
      sources: { events },
      sinks: { out: fileSink(join(dir, 'out.ndjson')) },
    })
    assert.equal(summary.outcome, 'finished')
    lines.push(readFileSync(join(dir, 'out.ndjson'), 'utf8').split('\n').length)
    await sleep(50)
  }
  assert.deepEqual(lines, [lines[0], lines[0], lines[0]])
})

test('a sink does not write to what a source reads', async () => {
  const { dir, events } = directory()
  const file = join(dir, 'in.ndjson')
  const before = readFileSync(file, 'utf8')
  const app = pipeline('circle')
  source(app).sink('out', fileSink(file))
  await assert.rejects(
    runEmbedded(app.graph(), { sources: { events } }),
    /the sink out would overwrite .*, which the source events/,
  )
  assert.equal(readFileSync(file, 'utf8'), before)
})

test('a run says why its first dead letter is one, and where it lies', async () => {
  const { dir, events } = directory()
  writeFileSync(join(dir, 'in.ndjson'), '{"key":"k","at":1}\n{"key":7,"at":2}\nno JSON\n')
  const app = pipeline('letters')
  source(app).sink('out', fileSink(join(dir, 'out.ndjson')))
  const { deadLetters, firstDeadLetter } = await runEmbedded(app.graph(), { sources: { events } })
  assert.equal(deadLetters, 2)
  assert.equal(firstDeadLetter?.source, 'events')
  assert.match(firstDeadLetter.position, /in\.ndjson, up to /)
  assert.match(firstDeadLetter.reason, /^invalid: key: /)
})

test('a checkpoint that its process did not live to complete is listed as interrupted', async () => {
  const { dir, events } = directory()
  const options = { state: join(dir, 'state'), sources: { events } }
  const app = pipeline('interrupted')
  source(app).keyBy('key').dedup('at', { ttl: '1h' }).sink('out', print())
  const broken = customSink({
    name: 'broken',
    open: () => ({
      write() {},
      flush: async (_commit, cut) => {
        if (cut !== undefined) throw new Error('the end')
      },
    }),
  })
  await assert.rejects(runEmbedded(app.graph(), { ...options, sinks: { out: broken } }), /the end/)
  await runEmbedded(app.graph(), { ...options, sinks: { out: fileSink(join(dir, 'out.ndjson')) } })
  const [first, second] = await listCheckpoints(options.state)
  assert.deepEqual([first?.status, second?.status], ['interrupted', 'complete'])
  assert.match(first!.reason!, /^the process ended before/)
})

test('two sinks of one run can not write to one file', async () => {
  const { dir, events } = directory()
  const app = pipeline('shared')
  const stream = source(app)
  for (const name of ['a', 'b']) stream.map(e => ({ [name]: e.at })).sink(name, fileSink(join(dir, 'out.ndjson')))
  await assert.rejects(runEmbedded(app.graph(), { sources: { events } }), /written by two sinks, 'sink-a' and 'sink-b'/)
})

test('a flush that fails waits for those beside it before anything is closed or tried again', async () => {
  const { events } = directory()
  const app = pipeline('beside')
  const stream = source(app)
  const log: string[] = []
  stream.sink(
    'slow',
    customSink({
      name: 'slow',
      open: () => ({
        write() {},
        async flush() {
          await sleep(50)
          log.push('flushed')
        },
        async close() {
          log.push('closed')
        },
      }),
    }),
  )
  stream.sink(
    'broken',
    customSink({
      name: 'broken',
      open: () => ({
        write() {},
        async flush() {
          throw new Error('no space')
        },
        async close() {
          throw new Error('nor this')
        },
      }),
    }),
  )
  await assert.rejects(runEmbedded(app.graph(), { sources: { events } }), /no space/)
  assert.deepEqual(log, ['flushed', 'closed'])
})

test('a run that can not start leaves no sink open', async () => {
  const { events } = directory()
  const app = pipeline('unopened')
  const stream = source(app)
  let open = 0
  for (const name of ['a', 'b', 'c']) {
    stream.sink(
      name,
      customSink({
        name,
        async open() {
          if (name === 'b') throw new Error('refused')
          open++
          return {
            write() {},
            async flush() {},
            async close() {
              open--
            },
          }
        },
      }),
    )
  }
  await assert.rejects(runEmbedded(app.graph(), { sources: { events }, chaining: true }), /refused/)
  await assert.rejects(runEmbedded(app.graph(), { sources: { events }, chaining: false, parallelism: 2 }), /refused/)
  assert.equal(open, 0)
})

test('a pipeline of several inputs that are silent takes no checkpoints', async () => {
  const { events } = directory()
  const silent = (): SourceConnector => ({
    ...events,
    async open(split) {
      const reader = await events.open(split)
      return { ...reader, read: async (position, limit) => ({ ...(await reader.read(position, limit)), done: false }) }
    },
  })
  const app = pipeline('silent')
  const [a, b] = ['a', 'b'].map(name => app.source(name, ndjson(Event), { time: e => e.at, watermark: monotonous() }))
  a!
    .union(b!)
    .keyBy('key')
    .dedup('at', { ttl: '1h' })
    .sink('out', customSink({ name: 'none', open: () => ({ write() {} }) }))
  const stop = new AbortController()
  const completed: number[] = []
  const run = runEmbedded(app.graph(), {
    sources: { a: silent(), b: silent() },
    parallelism: 2,
    checkpointMs: 20,
    signal: stop.signal,
    onProgress: p => {
      completed.push(p.checkpoints.completed)
      if (completed.length === 8) stop.abort()
    },
  })
  const { checkpoints } = await run
  assert.ok(checkpoints.completed >= 1 && checkpoints.completed <= 5, `${completed}`)
  assert.equal(completed[7], completed[3], `${completed}: it goes on though nothing comes`)
})
