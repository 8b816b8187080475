import assert from 'node:assert/strict'
import test from 'node:test'
import { ALL_PRODUCERS, encodeChannelState, readChannelState } from '../../runtime/checkpoint/channel-state.ts'
import { divideChannels } from '../../runtime/checkpoint/divide/channels.ts'
import { formerOf } from '../../runtime/checkpoint/divide/former.ts'
import { headOf } from '../../runtime/checkpoint/divide/heads.ts'
import type { Manifest, SubtaskSnapshot } from '../../runtime/checkpoint/manifest.ts'
import { keyGroup, subtaskOf } from '../../runtime/graph/key.ts'
import { boundedOutOfOrderness, map, ndjson, type Pipeline, pipeline, print, sum, tumbling } from '../../runtime/index.ts'
import { ENTRY_RECORD, FrameWriter, readFrame } from '../../runtime/protocol/frame.ts'
import { emptyHead } from '../../runtime/protocol/item.ts'
import { type Harness, harness } from '../engine/harness.ts'
import { Entry } from '../engine/ledger.ts'

const NONE = Number.NEGATIVE_INFINITY
const source = (name: string) => {
  const app = pipeline(name)
  return { app, stream: app.source('entries', ndjson(Entry), { time: e => e.at, watermark: boundedOutOfOrderness('1s') }) }
}

function keyed(): Pipeline {
  const { app, stream } = source('keyed')
  stream.keyBy('user').window(tumbling('100ms')).aggregate(sum('amount')).sink('out', print())
  return app
}

function keyless(parallelism: number): Pipeline {
  const { app, stream } = source('keyless')
  stream
    .map(e => e)
    .parallelism(parallelism)
    .sink('out', print())
  return app
}

function rules(): Pipeline {
  const { app, stream } = source('rules')
  stream
    .keyBy('user')
    .connect(stream.broadcast())
    .process({ broadcast: { rules: map<string, number>() }, onRecord: e => [e], onBroadcast() {} })
    .sink('out', print())
  return app
}

/** A user whom subtask `shard` of `of` owns. */
const userOf = (shard: number, of: number) =>
  Array.from({ length: 1000 }, (_, i) => `u${i}`).find(user => subtaskOf(keyGroup(user, 128), 128, of) === shard)!

type On = { readonly watermark: number } | { readonly user: string; readonly at: number; readonly edge?: number }

/** What was on its way to one subtask from one producer. */
interface Lane {
  readonly watermark: number
  readonly watermarks: readonly (readonly [producer: number, watermark: number])[]
  readonly producer: number
  readonly entries: readonly On[]
}

/** A checkpoint of two splits and one subtask for each lane. */
async function manifestOf({ topology, ports }: Harness, lanes: readonly Lane[]): Promise<Manifest> {
  const snapshot = (stage: number, shard: number): SubtaskSnapshot => {
    const log = topology.log(stage, shard)
    return { stage, shard, log, version: 7 + shard, attempt: 'a', head: emptyHead, channelState: [], runs: [] }
  }
  const subtasks = [snapshot(0, 0), snapshot(0, 1)]
  for (const [shard, { watermark, watermarks, producer, entries }] of lanes.entries()) {
    const writer = new FrameWriter()
    for (const e of entries)
      if ('watermark' in e) writer.watermark(e.watermark)
      else writer.record(e.edge ?? 0, { user: e.user, amount: 1, at: e.at }, e.at, undefined)
    writer.barrier(3, 0)
    const data = writer.finish({ run: 'run', producer, version: 1, attempt: 'a', index: 1, predVersion: 0, predIndex: 0 })
    const blob = `channels/${shard}`
    await ports.blobs.put(blob, encodeChannelState([{ data, from: 0, to: Number.POSITIVE_INFINITY }]))
    subtasks.push({ ...snapshot(1, shard), head: { ...emptyHead, watermark, watermarks }, channelState: [blob] })
  }
  return {
    pipeline: topology.pipeline,
    run: 'run',
    checkpoint: 3,
    createdAt: 0,
    shape: topology.shape,
    splits: { entries: ['a', 'b'] },
    subtasks,
  }
}

/** What each of so many subtasks is given. */
async function divided(app: (parallelism: number) => Pipeline, lanes: readonly Lane[], parallelism: number) {
  const h = await harness(app(lanes.length), { parallelism: lanes.length, splits: 2 })
  const manifest = await manifestOf(h, lanes)
  const next = await harness(app(parallelism), { parallelism, splits: 2, run: 'next', found: manifest.shape })
  const former = formerOf(manifest, next.topology)
  const at = next.topology.stages[1]!
  const given = []
  for (let shard = 0; shard < at.parallelism; shard++) {
    const entries: (string | number)[] = []
    const blobs = await divideChannels(former, at, shard, h.ports.blobs)
    const names = blobs.map((_, i) => `${shard}-${i}`)
    for (const [i, bytes] of blobs.entries()) await next.ports.blobs.put(names[i]!, bytes)
    for await (const { data } of readChannelState(next.ports.blobs, names)) {
      const frame = readFrame(data)
      assert.equal(frame.header.producer, ALL_PRODUCERS)
      const cursor = frame.reader()
      for (let type = cursor.next(); type >= 0; type = cursor.next())
        entries.push(type === ENTRY_RECORD ? `${(cursor.value as Entry).user}@${cursor.timestamp}` : cursor.watermark)
    }
    given.push({ watermark: headOf(former, at, shard).watermark, entries })
  }
  return given
}

const [A, B] = [userOf(0, 2), userOf(1, 2)]

test('D8: two subtasks become one: it begins at the lower watermark, and meets each record at the watermark of who would have', async () => {
  const ahead: Lane = {
    watermark: 9000,
    watermarks: [
      [0, 9800],
      [1, 9000],
    ],
    producer: 1,
    // Its window has fired: taken at a lower watermark, it would fire again.
    entries: [{ user: A, at: 1000 }, { watermark: 9500 }],
  }
  const behind: Lane = {
    watermark: NONE,
    watermarks: [[0, 9800]],
    producer: 1,
    entries: [{ user: B, at: 4000 }, { watermark: 5000 }, { user: B, at: 6000 }, { watermark: 9500 }],
  }
  for (const lanes of [
    [ahead, behind],
    [behind, ahead].map((l, i) => ({ ...l, entries: l.entries.map(e => ('user' in e ? { ...e, user: [A, B][i]! } : e)) })),
  ]) {
    const [late, early] = lanes[0] === ahead ? [A, B] : [B, A]
    const [one, ...none] = await divided(keyed, lanes, 1)
    assert.equal(none.length, 0)
    assert.equal(one!.watermark, NONE)
    const order = one!.entries.filter(e => e !== 9000)
    assert.deepEqual(order.slice(0, 3), [`${early}@4000`, 5000, `${early}@6000`])
    assert.equal(order.at(-1), 9500)
    // Taken when the one that is behind has come as far, or further.
    const at = one!.entries.indexOf(`${late}@1000`)
    assert.ok(
      one!.entries.slice(0, at).some(e => typeof e === 'number' && e >= 9000),
      `${one!.entries}`,
    )
  }
})

test('one subtask becomes four: each record goes to the owner of its key, in its order', async () => {
  const users = [0, 1, 2, 3].map(shard => userOf(shard, 4))
  const entries = [0, 1].flatMap(i => users.map(user => ({ user, at: 1000 + i })))
  const given = await divided(keyed, [{ watermark: 5, watermarks: [], producer: 0, entries }], 4)
  assert.deepEqual(
    given.map(g => g.entries),
    users.map(user => [`${user}@1000`, `${user}@1001`]),
  )
  assert.deepEqual(
    given.map(g => g.watermark),
    [5, 5, 5, 5],
  )
})

test('records without a key go to one subtask each; those for all of them to each, once', async () => {
  const lane = (producer: number, user: string): Lane => ({
    watermark: 5,
    watermarks: [],
    producer,
    entries: [
      { user, at: 1 },
      { user, at: 2 },
    ],
  })
  const forward = await divided(keyless, [lane(0, 'x'), lane(1, 'y')], 3)
  assert.deepEqual(
    forward.map(g => g.entries),
    [['x@1', 'x@2'], ['y@1', 'y@2'], []],
  )
  assert.deepEqual(
    (await divided(keyless, [lane(0, 'x'), lane(1, 'y')], 1)).map(g => g.entries.length),
    [4],
  )
  const copies = (producer: number): Lane => ({ ...lane(producer, 'r'), entries: [{ user: 'r', at: 1, edge: 1 }] })
  assert.deepEqual(
    (await divided(rules, [copies(0), copies(0)], 3)).map(g => g.entries),
    [['r@1'], ['r@1'], ['r@1']],
  )
  assert.deepEqual(
    (await divided(rules, [copies(0), copies(0)], 1)).map(g => g.entries),
    [['r@1']],
  )
})
