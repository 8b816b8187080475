import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { DescribeStreamSummaryCommand, ListShardsCommand, MergeShardsCommand, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { openClients } from '../../runtime/aws/clients.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { generate, visits } from '../functions/visits.ts'
import { shardId } from '../functions/world.ts'
import { destroy, type StackSource } from './cdk.ts'
import { deployAnew } from './deploy-anew.ts'
import { type Deployed, until } from './deployed.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'

// One subtask behind the source is enough: it is the source's shards that are split, and merged. Others cost time at each checkpoint.
const source: StackSource = {
  stack: 'Visits',
  app: 'test/localstack/stacks/visits-app.ts',
  environment: { VISITS_PARALLELISM: '1' },
}
const SPLITS = 2
const [low, high] = generate(600, SPLITS) as [string[], string[]]
/** Of the users of the first shard: the half that its second child gets. */
const isUpper = (json: string) => Number(/\d+$/.exec(JSON.parse(json).user)![0]) % 4 === 2
const third = (records: readonly string[], i: number) => records.slice((i * records.length) / 3, ((i + 1) * records.length) / 3)

/** As they were made: what is merged is in one order, and no further out of it than before. */
const inOrder = (records: readonly string[]) => records.toSorted((a, b) => JSON.parse(a).at - JSON.parse(b).at)

describe("a source's stream whose shards are split and merged while the pipeline runs", { skip: withoutLocalStack }, () => {
  const clients = openClients(clientOptions)
  let deployed: Deployed
  let StreamName: string
  before(async () => {
    const anew = await deployAnew(source, visits())
    deployed = anew.deployed
    StreamName = anew.outputs.SourceStream!
  })
  after(async () => {
    deployed?.close()
    clients.close()
    await destroy(source)
  })

  async function shard(number: number, StreamName: string) {
    const { Shards } = await clients.kinesis.send(new ListShardsCommand({ StreamName }))
    return Shards!.find(({ ShardId }) => ShardId === shardId(number))!
  }

  const active = (StreamName: string) =>
    until('the stream', async () => {
      const { StreamDescriptionSummary } = await clients.kinesis.send(new DescribeStreamSummaryCommand({ StreamName }))
      return StreamDescriptionSummary!.StreamStatus === 'ACTIVE' || undefined
    })

  async function split(number: number, StreamName: string): Promise<void> {
    const { StartingHashKey, EndingHashKey } = (await shard(number, StreamName)).HashKeyRange!
    const NewStartingHashKey = String((BigInt(StartingHashKey!) + BigInt(EndingHashKey!)) / 2n)
    await clients.kinesis.send(new SplitShardCommand({ StreamName, ShardToSplit: shardId(number), NewStartingHashKey }))
    await active(StreamName)
  }

  async function merge(ShardToMerge: string, AdjacentShardToMerge: string): Promise<void> {
    await clients.kinesis.send(new MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge }))
    await active(StreamName)
  }

  /** All that a shard has, to the source's function, as its mapping does. */
  async function again(number: number): Promise<void> {
    const records = await deployed.streams.poll(StreamName, number, undefined, 10_000)
    assert.ok(records.length > 0)
    const stage = (await deployed.topology()).stages[0]!.stage.id
    assert.deepEqual(await deployed.deliver(stage, number, records), { done: records.length })
  }

  /** Of the split that was the first one: the records that a child gets. */
  const half = (records: readonly string[], upper: boolean) => records.filter(json => isUpper(json) === upper)

  test('gives what an embedded run of one that is not gives; the parents come again and again', async () => {
    await Promise.all([deployed.feed(0, third(low, 0)), deployed.feed(1, third(high, 0))])
    // A run has the shards that there are when the first function comes by.
    await deployed.consumed()
    assert.equal((await deployed.topology()).splits.visits!.length, SPLITS)
    await deployed.feed(0, third(low, 1).slice(0, 10))
    await split(0, StreamName)
    const rest = third(low, 1).slice(10)
    await Promise.all([deployed.feed(2, half(rest, false)), deployed.feed(3, half(rest, true)), deployed.feed(1, third(high, 1))])
    await deployed.consumed()
    await again(0)
    await deployed.execute()
    await merge(shardId(3), shardId(1))
    await Promise.all([
      deployed.feed(2, half(third(low, 2), false)),
      deployed.feed(4, inOrder([...half(third(low, 2), true), ...third(high, 2)])),
    ])
    await deployed.consumed()
    for (const parent of [0, 3, 1]) await again(parent)
    await deployed.settle()
    assert.deepEqual(sorted(await deployed.rows('pages')), (await expected(visits(), [low, high], SPLITS)).pages)
  })
})
