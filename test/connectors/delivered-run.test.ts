import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { deliveredSink } from '../../runtime/connectors/delivered-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import { generate, scratch, writeEvents } from '../engine/events.ts'
import { pipelines } from '../engine/pipelines.ts'
import { onlyOneRun, retained } from '../engine/runs.ts'

/** A service in memory; it stays away as long as `away` says. */
function world(input: string) {
  const received = new Map<string, string>()
  let sent = 0
  const service = {
    away: false,
    /** What is there in all, under whatever ids. */
    rows: () => [...received.values()].sort(),
    sent: () => sent,
    forget: () => received.clear(),
  }
  const sink = () =>
    deliveredSink<unknown, string>({
      kind: 'fake',
      where: 'the fake sink',
      check() {},
      message: value => JSON.stringify(value),
      async send(messages) {
        if (service.away) throw new Error('away')
        for (const { id, message } of messages) {
          assert.equal(received.get(id) ?? message, message)
          received.set(id, message)
          sent++
        }
      },
      describe: () => 'fake',
    })
  const run = async (options: RunOptions & { stopAfter?: number }) => {
    const stop = new AbortController()
    return runEmbedded(pipelines.process!().graph(), {
      sources: { events: fileSource([input]) },
      sinks: { out: sink(), side: sink() },
      parallelism: 2,
      batchSize: 13,
      checkpointMs: 1,
      signal: stop.signal,
      onProgress: ({ events }) => events >= (options.stopAfter ?? Number.POSITIVE_INFINITY) && stop.abort(),
      ...options,
    })
  }
  return { service, run }
}

test('a run sends each result once: in one go, stopped and resumed, from a snapshot, and back in place', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(4000, 21))
  const { service, run } = world(input)
  await run({})
  const all = service.rows()
  assert.ok(all.length > 100)
  assert.equal(service.sent(), all.length)

  service.forget()
  const state = join(dir, 'state')
  assert.equal((await run({ state, stopAfter: 1000 })).outcome, 'stopped')
  const before = service.rows()
  assert.ok(before.length < all.length)

  // A fork from the last checkpoint has the rest to send, and its origin too.
  service.forget()
  await run({ state: join(dir, 'fork'), from: { directory: state } })
  assert.deepEqual([...before, ...service.rows()].sort(), all)
  service.forget()
  await run({ state })
  assert.deepEqual([...before, ...service.rows()].sort(), all)

  // Back to an earlier one: what came later comes again, and nothing of the old run stays.
  const [first] = await retained(state)
  service.forget()
  await run({ state, from: { directory: state, checkpoint: first! } })
  const again = service.rows()
  assert.deepEqual(all.filter(row => again.includes(row)).length, again.length)
  await onlyOneRun(state)
})

test('what a run could not send, because the service was away, is sent when it is resumed', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(1000, 22))
  const { service, run } = world(input)
  await run({})
  const all = service.rows()
  service.forget()
  const state = join(dir, 'state')
  service.away = true
  for (let i = 0; i < 3; i++) await assert.rejects(run({ state }), /the fake sink failed: away/)
  assert.deepEqual(service.rows(), [])
  service.away = false
  assert.equal((await run({ state })).outcome, 'finished')
  assert.deepEqual(service.rows(), all)
  const ports = await openEmbedded({ directory: state })
  t.after(() => ports.close())
  assert.deepEqual(
    (await ports.blobs.list('sinks/')).filter(key => key.includes('/staged/')),
    [],
  )
})
