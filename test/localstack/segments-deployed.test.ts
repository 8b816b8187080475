import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { openClients } from '../../runtime/aws/clients.ts'
import { PARTITION_KEY } from '../../runtime/aws/row.ts'
import { readBase } from '../../runtime/checkpoint/base.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { customSink } from '../../runtime/index.ts'
import { memorySource } from '../functions/embedded-run.ts'
import { destroy, type StackSource } from './cdk.ts'
import { deployAnew } from './deploy-anew.ts'
import type { Deployed } from './deployed.ts'
import { resourcesOf, type StackResource } from './remains.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'
import { notes } from './stacks/notes.ts'
import { withVariables } from './unreliable.ts'

const source: StackSource = { stack: 'Notes', app: 'test/localstack/stacks/notes-app.ts' }
/** About 60 KB of the log each, of the 8 MB for which a fold waits. */
const USERS = 200
const round = (n: number) => Array.from({ length: USERS }, (_, i) => JSON.stringify({ user: `u${i}`, round: n }))

describe('a stack that keeps its state in segments', { skip: withoutLocalStack }, () => {
  let deployed: Deployed
  before(async () => {
    deployed = (await deployAnew(source, notes())).deployed
  })
  after(async () => {
    deployed?.close()
    await destroy(source)
  })

  async function base() {
    const topology = await deployed.topology()
    return readBase(deployed.state.store, topology.log(1, 0))
  }

  /** Partition keys of all that the stack's state table has. */
  async function stateRows(): Promise<string[]> {
    const isState = (r: StackResource) => r.type === 'AWS::DynamoDB::Table' && r.logicalId.includes('State')
    const TableName = (await resourcesOf(source.stack)).find(isState)!.id
    const { dynamodb, close } = openClients(clientOptions)
    const { Items } = await dynamodb.send(new ScanCommand({ TableName }))
    close()
    return Items!.map(row => row[PARTITION_KEY]!.S!)
  }

  test('folds it into objects of S3, and nothing but the marker into the table', async () => {
    await deployed.feed(0, round(0))
    await deployed.settle()
    const { version, runs } = await base()
    assert.ok(version > 0, 'no checkpoint has folded')
    const segments = runs.flat()
    assert.equal(
      segments.reduce((sum, segment) => sum + segment.items, 0),
      USERS,
    )
    const kept = new Set(await deployed.state.blobs.list(''))
    for (const { blob } of segments) assert.ok(kept.has(blob), `${blob} is not there`)
    const rows = await stateRows()
    assert.ok(rows.length > 0)
    for (const pk of rows) assert.match(pk, /^marker\|/)
  })

  test('reads it from there in environments that are new', async () => {
    const stages = Object.values(deployed.functions).map(f => f.function)
    const { version } = await base()
    await withVariables(deployed.lambda, stages, { COLD: 'once' }, async () => {
      await deployed.feed(0, round(1))
      await deployed.settle()
    })
    assert.ok((await base()).version > version, 'no second fold')
    const rows: unknown[] = []
    await runEmbedded(notes().graph(), {
      sources: { notes: memorySource([[...round(0), ...round(1)]]) },
      sinks: { seen: customSink({ name: 'seen', open: () => ({ write: row => void rows.push(row) }) }) },
    })
    const lines = (found: readonly unknown[]) => found.map(row => JSON.stringify(row)).sort()
    assert.deepEqual(lines(await deployed.rows('seen')), lines(rows))
  })
})
