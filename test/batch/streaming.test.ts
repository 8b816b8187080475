import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { type Event, generate, scratch } from '../engine/events.ts'
import { pipelines } from '../engine/pipelines.ts'
import { bounded, streaming, write } from './both.ts'
import { inOrder } from './perfect.ts'

// Late and doubled records, ties, side outputs, timers, joins, broadcast state, sessions: in order of event time none is late, at any number of subtasks, however the file
// is cut, and whatever is in memory.
for (const [turn, name] of Object.keys(pipelines).entries()) {
  test(`${name}: a bounded run gives what a streaming run with perfect watermarks gives`, async t => {
    const dir = scratch(t)
    const graph = () => pipelines[name]!().graph()
    const events: Event[] = generate(400, 70 + turn)
    const lines = events.map(e => JSON.stringify(e))
    const expected = await streaming(graph(), 'events', inOrder(graph(), 'events', lines), join(dir, 'streaming'))
    assert.ok(expected.out!.length > 10)
    const input = { events: [write(join(dir, 'events.ndjson'), lines)] }
    const ways = {
      'one subtask': {},
      'three, cut': { parallelism: 3, pieceBytes: 10_000 },
      cold: { parallelism: 2, stateMemory: 1 },
    }
    for (const [way, options] of Object.entries(ways))
      assert.deepEqual(await bounded(graph(), input, join(dir, way), options), expected, way)
  })
}
