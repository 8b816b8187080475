import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { runBounded } from '../../runtime/batch/run.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { directoryBlobs } from '../../runtime/savepoint/directory.ts'
import { START, scratch, seeded, sortedLines } from '../engine/events.ts'
import { app, fourHours, HOUR, linesOf, SINKS } from './archive.ts'
import { write } from './both.ts'
import { withPerfectWatermarks } from './perfect.ts'

function sinksIn(directory: string) {
  return Object.fromEntries(SINKS.map(name => [name, fileSink(join(directory, name))]))
}

for (const parallelism of [1, 3]) {
  // What is in both would count twice, what is in neither would be lost, and a window, session or timer that the handover cuts through needs its state from the archive.
  test(`archive, then stream, which overlap by an hour: the results of one stream (parallelism ${parallelism})`, async t => {
    const dir = scratch(t)
    const events = fourHours()
    const whole = write(join(dir, 'whole'), linesOf(events))
    await runEmbedded(withPerfectWatermarks(app(), 'events', linesOf(events)), {
      sources: { events: fileSource([whole]) },
      sinks: sinksIn(join(dir, 'all')),
      parallelism,
    })

    // The archive ends in the third hour, in disorder; the stream goes back to the second.
    const random = seeded(3)
    const archived = events.filter(e => e.at < START + 2.5 * HOUR)
    const shuffled = archived
      .map(e => ({ e, by: random() }))
      .sort((a, b) => a.by - b.by)
      .map(({ e }) => e)
    const archive = write(join(dir, 'archive'), linesOf(shuffled))
    const stream = write(join(dir, 'stream'), linesOf(events.filter(e => e.at >= START + 1.5 * HOUR)))
    const until = START + 2.25 * HOUR + 1000
    const place = join(dir, 'savepoint')
    const thenLive = { ...directoryBlobs(place), name: place }
    const options = { sources: { events: [archive] }, until, thenLive, parallelism, pieceBytes: 200_000 }
    const bounded = await runBounded(app(), { ...options, sinks: sinksIn(join(dir, 'before')) })
    assert.equal(bounded.late, 0)
    const from = { savepoint: { name: place, open: async () => ({ blobs: directoryBlobs(place), close: async () => {} }) } }
    const sources = { events: fileSource([stream]) }
    const taken = linesOf(events.filter(e => e.at >= until))
    const live = await runEmbedded(withPerfectWatermarks(app(), 'events', taken), {
      sources,
      sinks: sinksIn(join(dir, 'behind')),
      parallelism,
      from,
    })
    assert.equal(live.outcome, 'finished')

    for (const name of SINKS) {
      const before = sortedLines(join(dir, 'before', name))
      const behind = sortedLines(join(dir, 'behind', name))
      assert.ok(before.length > 10 && behind.length > 10, name)
      assert.deepEqual([...before, ...behind].sort(), sortedLines(join(dir, 'all', name)), name)
    }
  })
}

test('a handover needs its time, and a place of its own', async t => {
  const dir = scratch(t)
  const archive = write(join(dir, 'archive'), linesOf(fourHours().slice(0, 100)))
  const place = { ...directoryBlobs(join(dir, 'savepoint')), name: 'savepoint' }
  const options = { sources: { events: [archive] }, sinks: sinksIn(dir), thenLive: place }
  await assert.rejects(runBounded(app(), options), /at what event time that takes over/)
  const until = START + 60_000
  const state = join(dir, 'state')
  await runBounded(app(), { ...options, until, state })
  const started = () => assert.fail('it has begun, and is refused at its end')
  await assert.rejects(runBounded(app(), { ...options, until, executor: started }), /holds a savepoint already, of another run/)
  // Again, it is there; at another place it is not, and what it was made of is gone.
  assert.equal((await runBounded(app(), { ...options, until, state })).resumed, true)
  const other = { ...directoryBlobs(join(dir, 'other')), name: 'other' }
  await assert.rejects(runBounded(app(), { ...options, until, state, thenLive: other }), /its savepoint is not at other/)
})
