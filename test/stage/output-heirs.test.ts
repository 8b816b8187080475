import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FrameId } from '../../runtime/protocol/item.ts'
import { evenStarts, firstLayout, type Layout, relaid } from '../../runtime/stage/layout.ts'
import { type OutputShard, StageOutput } from '../../runtime/stage/output.ts'

const GROUPS = 128

function outputTo(shards: readonly OutputShard[], sent: ReadonlyMap<number, FrameId>, closed?: ReadonlyMap<number, FrameId>) {
  const consumer = { index: 1, ids: new Map() } as unknown as ConstructorParameters<typeof StageOutput>[0]
  return new StageOutput(consumer, [], shards, { keyGroups: GROUPS, watermarkStep: 0 }, false, sent, closed)
}

/** What the head says of a producer that has sent these frames, by shard. */
function sentOf(...args: Parameters<typeof outputTo>) {
  return [...outputTo(...args).sent()].map(([, shard, ...frame]) => [shard, frame] as const)
}

test('a channel goes on behind all that its shard took over from, after as many changes of shards as a year has', () => {
  let layout = firstLayout(4, GROUPS)
  for (let day = 0; day < 365; day++)
    for (const parallelism of [8, 4]) layout = relaid(layout, evenStarts(parallelism, GROUPS), GROUPS) ?? layout
  const shards = layout.map(shard => ({ ...shard, listens: true, own: true }))
  // Before the first change, and before the last.
  const sent = new Map<number, FrameId>([
    [0, [7, 1]],
    [1, [9, 2]],
    [layout.length - 9, [12, 3]],
  ])
  // Of the others nothing was ever sent.
  assert.deepEqual(
    sentOf(shards, sent).map(([, frame]) => frame),
    [
      [7, 1],
      [12, 3],
    ],
  )
})

// Seed 22135: who took over from such a producer, and from one that the shard does count on, said that frames were lost.
test("what a shard's parent was sent precedes nothing for a child that doesn't count on the producer: it never hears of that", () => {
  const layout = relaid(firstLayout(2, GROUPS), [0, 64, 96], GROUPS)!
  // The producer's key groups are those up to 96.
  const shards = layout.map(shard => ({ ...shard, listens: shard.from < 96, own: shard.from < 96 }))
  assert.deepEqual(sentOf(shards, new Map<number, FrameId>([[1, [15, 2]]])), [[2, [15, 2]]])
})

test('what closed shards were sent is told until somebody has looked at it: who takes over', () => {
  const heard = (layout: Layout) => layout.map(s => ({ ...s, listens: true, own: true }))
  const told = (o: StageOutput) => [[...o.sent()], [...o.sentClosed()]].map(frames => frames.map(([, ...frame]) => frame))
  const sent = [
    [0, 4, 2],
    [1, 3, 1],
  ] as const
  const frames = new Map(sent.map(([shard, ...frame]) => [shard, frame]))
  const first = firstLayout(2, GROUPS)
  const output = outputTo(heard(first), frames)
  assert.deepEqual(told(output), [sent, []])
  const merged = relaid(first, [0], GROUPS)!
  output.reshape(heard(merged))
  assert.deepEqual(told(output), [[[2, 4, 2]], sent])
  // And so does who begins with what was told.
  const again = outputTo(heard(merged), new Map([[2, [4, 2]]]), frames)
  assert.deepEqual(told(again), [[[2, 4, 2]], sent])
  again.reshape(heard(relaid(merged, [0, 64], GROUPS)!))
  assert.deepEqual(told(again)[1], [...sent, [2, 4, 2]])
  assert.deepEqual(
    [...again.closedShards()].map(({ shard, children }) => [shard, ...children]),
    [
      [0, 2],
      [1, 2],
      [2, 3, 4],
    ],
  )
  again.forget(0)
  assert.deepEqual(told(again)[1], [
    [1, 3, 1],
    [2, 4, 2],
  ])
  // What does not count on the producer is told nothing of.
  const deaf = outputTo(
    heard(merged).map(s => ({ ...s, listens: s.shard !== 1 })),
    new Map(),
    frames,
  )
  assert.deepEqual(told(deaf), [[], [[0, 4, 2]]])
})
