import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aheadOfParents } from '../../runtime/aws/functions/ahead-of-parents.ts'
import type { Environment } from '../../runtime/aws/functions/environment.ts'
import { formatState } from '../../runtime/aws/functions/shard-map.ts'
import { formatPosition } from '../../runtime/aws/position.ts'
import { beginLog } from '../../runtime/checkpoint/begin-log.ts'
import type { Part } from '../../runtime/checkpoint/cut.ts'
import type { SourcePosition } from '../../runtime/connectors/source.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { emptyHead } from '../../runtime/protocol/item.ts'
import type { Topology } from '../../runtime/stage/topology.ts'

/** Shard 3 came of 1 and 2, shard 4 of 3, which brought nothing, and 0: the one belongs to subtask 1, the other to subtask 0. */
const LISTED = [
  { id: '0', parents: [] },
  { id: '1', parents: [] },
  { id: '2', parents: [] },
  { id: '3', parents: ['1', '2'] },
  { id: '4', parents: ['3', '0'] },
]
const upTo = (seq: string) =>
  formatState({ sequenceNumber: seq === '' ? '' : formatPosition(seq), watermark: 0, takenAt: 0, closed: true })

/** With the positions of subtasks 0, 1 and 2 at their cuts, and of those that have gone on since. */
async function ahead(
  cuts: readonly (SourcePosition | undefined)[],
  since: Readonly<Record<number, SourcePosition>> = {},
  listed = LISTED,
): Promise<string[]> {
  const { log, close } = await openEmbedded({})
  for (const [shard, cut] of cuts.entries())
    await beginLog(log, `log ${shard}`, 1, 'begun', { ...emptyHead, source: since[shard] ?? cut })
  const environment = {
    ports: { log },
    seen: { heads: new Map() },
    settings: { sources: { visits: { kind: 'kinesis', stream: 'visits' } } },
    sourceStreams: { listShards: async () => listed.map(shard => ({ ...shard, closed: false })) },
  } as unknown as Environment
  const topology = {
    stages: [{ stage: { index: 0, source: { source: { name: 'visits' } } }, parallelism: 3 }],
    splits: { visits: ['0', '1', '2'] },
  } as unknown as Topology
  const parts = cuts.map((source, shard) => ({ stage: 0, shard, log: `log ${shard}`, item: { head: { source } } }))
  const found = await aheadOfParents(environment, topology, parts as unknown as Part[])
  await close()
  return found
}
const [first, second] = [
  { 1: 'ended', 3: upTo('3') },
  { 1: 'ended', 3: upTo('5') },
] as const

test('cuts fit where nothing was taken of what a shard came of behind the cut of the other subtask', async () => {
  assert.deepEqual(await ahead([undefined, undefined, undefined], { 1: { sequenceNumber: formatPosition('7') } }), [])
  assert.deepEqual(await ahead([{ 0: 'ended', 4: upTo('9') }, first, { 2: 'ended' }]), [], 'its end may not be known')
  assert.deepEqual(await ahead([{ 0: 'ended', 4: upTo('') }, first, { 2: 'ended' }], { 1: second }), [], 'nothing is taken yet')
  assert.deepEqual(await ahead([{ 0: upTo('9') }, first, { 2: 'ended' }], { 1: second }), [], 'of others')
})

// Seed 630: a run that began with such a checkpoint took a user's visit 7 before visit 0.
test('and do not where something was, be it that between the two there was a shard without a record', async () => {
  const child = { 0: 'ended', 4: upTo('9') }
  assert.deepEqual(await ahead([child, first, { 2: 'ended' }], { 1: second }), ['log 0'])
  assert.deepEqual(await ahead([child, { 1: 'ended' }, { 2: 'ended' }], { 1: first }), ['log 0'], 'nobody had heard of it')
  assert.deepEqual(await ahead([child, first, { 2: upTo('1') }], { 2: { 2: upTo('2') } }), ['log 0', 'log 1'])
})

test('what a shard came of is known as long as its stream lists it: its records were there for a day', async () => {
  assert.deepEqual(await ahead([{ 4: upTo('9') }, first, {}], { 1: second }, LISTED.slice(0, 4)), [])
})
