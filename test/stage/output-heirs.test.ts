import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evenStarts, firstLayout, relaid } from '../../runtime/stage/layout.ts'
import { StageOutput } from '../../runtime/stage/output.ts'

const GROUPS = 128

test('a channel goes on behind all that its shard took over from, after as many changes of shards as a year has', () => {
  let layout = firstLayout(4, GROUPS)
  for (let day = 0; day < 365; day++)
    for (const parallelism of [8, 4]) layout = relaid(layout, evenStarts(parallelism, GROUPS), GROUPS) ?? layout
  const shards = layout.map(shard => ({ ...shard, listens: true, own: true }))
  const consumer = { index: 1, ids: new Map() } as unknown as ConstructorParameters<typeof StageOutput>[0]
  // Before the first change, and before the last.
  const sent = new Map([
    [0, [7, 1]],
    [1, [9, 2]],
    [layout.length - 9, [12, 3]],
  ] as const)
  const output = new StageOutput(consumer, [], shards, { keyGroups: GROUPS, watermarkStep: 0 }, false, sent)
  // Of the others nothing was ever sent.
  assert.deepEqual(
    [...output.sent()].map(([, , ...frame]) => frame),
    [
      [7, 1],
      [12, 3],
    ],
  )
})
