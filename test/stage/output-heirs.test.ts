import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FrameId } from '../../runtime/protocol/item.ts'
import { evenStarts, firstLayout, relaid } from '../../runtime/stage/layout.ts'
import { type OutputShard, StageOutput } from '../../runtime/stage/output.ts'

const GROUPS = 128

/** What the head says of a producer that has sent these frames, by shard. */
function sentOf(shards: readonly OutputShard[], sent: ReadonlyMap<number, FrameId>) {
  const consumer = { index: 1, ids: new Map() } as unknown as ConstructorParameters<typeof StageOutput>[0]
  const output = new StageOutput(consumer, [], shards, { keyGroups: GROUPS, watermarkStep: 0 }, false, sent)
  return [...output.sent()].map(([, shard, ...frame]) => [shard, frame] as const)
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
