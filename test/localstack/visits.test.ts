import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { expected, sorted } from '../functions/embedded-run.ts'
import { generate, visits } from '../functions/visits.ts'
import { deploy, type StackSource } from './cdk.ts'
import { type Deployed, openDeployed } from './deployed.ts'
import { withoutLocalStack } from './resources.ts'

const source: StackSource = { stack: 'Visits', app: 'test/localstack/stacks/visits-app.ts' }
const SPLITS = 2
/** Fed so far: each test adds a round. */
const rounds: string[][][] = []

describe('a pipeline of three stages in a stack of its own', { skip: withoutLocalStack }, () => {
  let outputs: Record<string, string>
  let deployed: Deployed
  before(async () => {
    outputs = await deploy(source)
    const results = { bucket: outputs.ResultsBucket!, prefix: 'out/' }
    const options = { app: visits(), outputs, id: 'Pipeline', sourceStream: outputs.SourceStream!, results }
    deployed = await openDeployed(options)
  })
  after(() => deployed?.close())

  async function feedRound(records: number): Promise<void> {
    const round = generate(records, SPLITS, rounds.length)
    rounds.push(round)
    await Promise.all(round.map((split, shard) => deployed.feed(shard, split)))
  }

  /** All rounds so far give what they give in one embedded run. */
  async function assertResults(): Promise<void> {
    const fed = Array.from({ length: SPLITS }, (_, i) => rounds.flatMap(round => round[i]!))
    assert.deepEqual(sorted(await deployed.rows('pages')), (await expected(visits(), fed, SPLITS)).pages)
  }

  test('gives what an embedded run gives', async () => {
    await feedRound(2_000)
    await deployed.settle()
    await assertResults()
  })
})
