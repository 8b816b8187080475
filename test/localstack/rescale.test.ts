import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { DescribeStreamSummaryCommand, ListShardsCommand, MergeShardsCommand, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { openClients } from '../../runtime/aws/clients.ts'
import type { Pause } from '../../runtime/checkpoint/pauses.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { generate, visits } from '../functions/visits.ts'
import { destroy, type StackSource } from './cdk.ts'
import { deployAnew } from './deploy-anew.ts'
import { type Deployed, until } from './deployed.ts'
import { millrace } from './millrace.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'

const source: StackSource = { stack: 'Visits', app: 'test/localstack/stacks/visits-app.ts' }
const SPLITS = 2
const MORE = 8
const input = generate(600, SPLITS)
const fourth = (records: readonly string[], i: number) => records.slice((i * records.length) / 4, ((i + 1) * records.length) / 4)

describe('a stack that is rescaled while records flow', { skip: withoutLocalStack }, () => {
  const clients = openClients(clientOptions)
  let deployed: Deployed
  before(async () => {
    deployed = (await deployAnew(source, visits())).deployed
  })
  after(async () => {
    deployed?.close()
    clients.close()
    await destroy(source)
  })

  const flow = (part: number) => Promise.all(input.map((records, shard) => deployed.feed(shard, fourth(records, part))))

  async function rescale(t: TestContext, parallelism: number): Promise<void> {
    const { code, out, err } = await millrace('rescale', '--stack', source.stack, '--parallelism', String(parallelism), '--json')
    assert.equal(code, 0, `to ${parallelism}: ${err}`)
    const { stages, begun } = JSON.parse(out) as { stages: { to: number; pauses: Pause[] }[]; begun: boolean }
    assert.ok(begun)
    assert.deepEqual([...new Set(stages.map(({ to }) => to))], [parallelism])
    for (const { waitedMs, tookMs } of stages.flatMap(({ pauses }) => pauses))
      t.diagnostic(`to ${parallelism}: the first record waited ${waitedMs} ms, ${tookMs} of them for the end of others`)
  }

  const openOf = async (StreamName: string) => {
    const { Shards } = await clients.kinesis.send(new ListShardsCommand({ StreamName }))
    return Shards!
      .filter(({ SequenceNumberRange }) => SequenceNumberRange!.EndingSequenceNumber === undefined)
      .map(({ ShardId, HashKeyRange }) => ({
        id: ShardId!,
        first: BigInt(HashKeyRange!.StartingHashKey!),
        last: BigInt(HashKeyRange!.EndingHashKey!),
      }))
      .sort((a, b) => (a.first < b.first ? -1 : 1))
  }

  const changed = (StreamName: string, shards: number) =>
    until(`${shards} open shards of ${StreamName}`, async () => {
      const { StreamDescriptionSummary: d } = await clients.kinesis.send(new DescribeStreamSummaryCommand({ StreamName }))
      return (d!.StreamStatus === 'ACTIVE' && d!.OpenShardCount === shards) || undefined
    })

  /** The first open shard of the keyed stage, by hand. */
  async function split(StreamName: string): Promise<void> {
    const open = await openOf(StreamName)
    const [{ id: ShardToSplit, first, last }] = open as [(typeof open)[0]]
    const NewStartingHashKey = String((first + last + 1n) / 2n)
    await clients.kinesis.send(new SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey }))
    await changed(StreamName, open.length + 1)
  }

  /** What was split, again. */
  async function merge(StreamName: string): Promise<void> {
    const open = await openOf(StreamName)
    await clients.kinesis.send(
      new MergeShardsCommand({ StreamName, ShardToMerge: open[0]!.id, AdjacentShardToMerge: open[1]!.id }),
    )
    await changed(StreamName, open.length - 1)
  }

  test('by the command, by hand, and back: results are those of a run that was not (F)', async t => {
    await flow(0)
    await deployed.consumed()
    const { id } = (await deployed.topology()).stages.find(({ stage }) => stage.source === undefined)!.stage
    const { stream } = deployed.functions[id]!
    await Promise.all([rescale(t, MORE), flow(1)])
    await split(stream)
    await flow(2)
    await deployed.consumed()
    await merge(stream)
    await Promise.all([rescale(t, SPLITS), flow(3)])
    await deployed.settle()
    assert.deepEqual(sorted(await deployed.rows('pages')), (await expected(visits(), input, SPLITS)).pages)
  })
})
