import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { destroy } from './cdk.ts'
import type { Deployed } from './deployed.ts'
import { deployRecommendations, endOf, type RecommendationsStack, SINKS, type SinkRows } from './recommendations-stack.ts'
import { remains, resourcesOf } from './remains.ts'
import { withoutLocalStack } from './resources.ts'

const SAMPLE = 'examples/recommendations/sample.ndjson.gz'
/** So many of its events; all of them take some minutes on 2 cores. */
const EVENTS = Number(process.env.MILLRACE_EVENTS ?? 14_697)
const PARALLELISM = 2

describe('the recommendation pipeline, as cdk.json deploys it', { skip: withoutLocalStack }, () => {
  let stack: RecommendationsStack
  let deployed: Deployed
  let lines: string[]
  let whole: SinkRows
  before(async () => {
    lines = gunzipSync(readFileSync(SAMPLE)).toString().trimEnd().split('\n').slice(0, EVENTS)
    stack = await deployRecommendations(PARALLELISM)
    deployed = stack.deployed
    whole = await stack.embedded(lines)
  })
  after(() => deployed?.close())

  function assertSame(found: SinkRows, wanted: SinkRows): void {
    for (const sink of SINKS) {
      // Before thousands of lines of difference.
      assert.equal(found[sink].length, wanted[sink].length, `lines of ${sink}`)
      assert.deepEqual(found[sink].toSorted(), wanted[sink].toSorted())
    }
  }

  const half = () => Math.ceil(lines.length / 2)

  test('takes checkpoints that complete, and each of them can be gone on from in one process', async () => {
    await deployed.feed(0, lines.slice(0, half()))
    await deployed.settle()
    const decisions = await deployed.decisions()
    assert.ok(decisions.length > 0)
    for (const { decision } of decisions) assert.equal(decision.outcome, 'complete')
    const before = await stack.visible()
    const store = { name: 'the stack', open: async () => ({ ...deployed.state, async close() {} }) }
    const rest = await stack.embedded(lines.slice(half()), { from: { store, newInput: true } })
    const both = SINKS.map(sink => [sink, [...before[sink], ...rest[sink]]] as const)
    assertSame(Object.fromEntries(both) as SinkRows, whole)
  })

  test('gives what an embedded run gives, record for record', async () => {
    await deployed.feed(0, [...lines.slice(half()), endOf(lines)])
    await deployed.settle()
    assertSame(await stack.visible(), whole)
  })

  test('is destroyed but for state and results', async () => {
    const resources = await resourcesOf(stack.source.stack)
    await destroy(stack.source)
    const kept = ['AWS::DynamoDB::Table', 'AWS::DynamoDB::Table', 'AWS::S3::Bucket', 'AWS::S3::Bucket', 'AWS::SQS::Queue']
    assert.deepEqual(await remains(resources), kept)
  })
})
