import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { startModels } from '../../examples/recommendations/models/client.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import { customSink, type Pipeline } from '../../runtime/index.ts'
import { deploy, destroy, type StackSource } from './cdk.ts'
import { type Deployed, openDeployed } from './deployed.ts'
import { remains, resourcesOf, stackExists } from './remains.ts'
import { withoutLocalStack } from './resources.ts'

const SAMPLE = 'examples/recommendations/sample.ndjson.gz'
/** So many of its events; all of them take some minutes on 2 cores. */
const EVENTS = Number(process.env.MILLRACE_EVENTS ?? 14_697)
const PARALLELISM = 2
const SINKS = ['trending', 'activity', 'recommendations'] as const
/** Behind all windows of the sample. */
const END_AFTER_MS = 3_600_000

type Rows = Record<(typeof SINKS)[number], string[]>

describe('the recommendation pipeline, as cdk.json deploys it', { skip: withoutLocalStack }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-events-'))
  let app: Pipeline
  let source: StackSource
  let deployed: Deployed
  let lines: string[]
  let whole: Rows
  before(async () => {
    lines = gunzipSync(readFileSync(SAMPLE)).toString().trimEnd().split('\n').slice(0, EVENTS)
    // Here and in the functions: none of them could start one.
    process.env.MODELS_URL = await startModels()
    app = (await import('../../examples/recommendations/pipeline.ts')).default
    source = {
      stack: 'Recommendations',
      context: { parallelism: String(PARALLELISM) },
      environment: { MODELS_URL: process.env.MODELS_URL },
    }
    // Of a run that was broken off: its records would count.
    if (await stackExists(source.stack)) await destroy(source)
    const outputs = await deploy(source)
    const results = { bucket: outputs.ResultsBucket!, prefix: '' }
    deployed = await openDeployed({ app, outputs, id: 'Pipeline', sourceStream: outputs.EventsStream!, results })
    whole = await embedded(lines)
  })
  after(() => deployed?.close())

  /** What these lines give in this process. At another parallelism than 1 it is the same, in another order. */
  async function embedded(input: readonly string[], options: RunOptions = {}): Promise<Rows> {
    const file = join(dir, 'events.ndjson')
    writeFileSync(file, input.map(line => `${line}\n`).join(''))
    const rows: Rows = { trending: [], activity: [], recommendations: [] }
    const collecting = (sink: (typeof SINKS)[number]) =>
      customSink({ name: sink, open: () => ({ write: row => void rows[sink].push(JSON.stringify(row)) }) })
    await runEmbedded(app.graph(), {
      parallelism: PARALLELISM,
      sources: { events: fileSource([file]) },
      sinks: Object.fromEntries(SINKS.map(sink => [sink, collecting(sink)])),
      ...options,
    })
    return rows
  }

  async function visible(): Promise<Rows> {
    const [trending, activity, recommendations] = await Promise.all(
      SINKS.map(async sink => (await deployed.rows(sink)).map(row => JSON.stringify(row))),
    )
    return { trending: trending!, activity: activity!, recommendations: recommendations! }
  }

  function assertSame(found: Rows, wanted: Rows): void {
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
    const before = await visible()
    const store = { name: 'the stack', open: async () => ({ ...deployed.state, async close() {} }) }
    const rest = await embedded(lines.slice(half()), { from: { store, newInput: true } })
    const both = SINKS.map(sink => [sink, [...before[sink], ...rest[sink]]] as const)
    assertSame(Object.fromEntries(both) as Rows, whole)
  })

  test('gives what an embedded run gives, record for record', async () => {
    const last = Math.max(...lines.map(line => new Date(JSON.parse(line).timestamp).getTime()))
    const end = { user_id: 'end', item_id: 'i1', event_type: 'search', timestamp: last + END_AFTER_MS }
    await deployed.feed(0, [...lines.slice(half()), JSON.stringify(end)])
    await deployed.settle()
    assertSame(await visible(), whole)
  })

  test('is destroyed but for state and results', async () => {
    const resources = await resourcesOf(source.stack)
    await destroy(source)
    const kept = ['AWS::DynamoDB::Table', 'AWS::DynamoDB::Table', 'AWS::S3::Bucket', 'AWS::S3::Bucket', 'AWS::SQS::Queue']
    assert.deepEqual(await remains(resources), kept)
  })
})
