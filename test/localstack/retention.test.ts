import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GetFunctionConfigurationCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { awsClearing } from '../../runtime/aws/clearing.ts'
import { KEEP_FORMER } from '../../runtime/aws/functions/clean.ts'
import { readSettings, type Settings } from '../../runtime/aws/functions/settings.ts'
import { awsPorts } from '../../runtime/aws/ports.ts'
import { channelsOf, segmentsOf } from '../../runtime/checkpoint/blob-names.ts'
import { holding } from '../../runtime/checkpoint/hold.ts'
import { listManifests, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { KEPT } from '../../runtime/checkpoint/retention.ts'
import type { Ports } from '../../runtime/ports.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { generate, visits } from '../functions/visits.ts'
import { deploy, destroy, type StackSource } from './cdk.ts'
import { type Deployed, openDeployed, until } from './deployed.ts'
import { millrace } from './millrace.ts'
import { stackExists } from './remains.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'
import { withVariables } from './unreliable.ts'

const source: StackSource = { stack: 'Original', app: 'test/localstack/stacks/fork-app.ts' }
const rounds = Array.from({ length: KEPT + 3 }, (_, round) => generate(100, 1, round)[0]!)
const pagesOf = async (to: number) => (await expected(visits(), [rounds.slice(0, to).flat()], 1)).pages

describe('what a stack keeps, and what goes', { skip: withoutLocalStack }, () => {
  const lambda = new LambdaClient(clientOptions)
  let outputs: Record<string, string>
  let checkpointFunction: string
  let settings: Settings
  /** The stack's own. */
  let ports: Ports & { close(): void }
  let results: Ports & { close(): void }
  let savepoint: string
  let fed = 0
  before(async () => {
    if (await stackExists(source.stack)) await destroy(source)
    outputs = await deploy(source)
    checkpointFunction = JSON.parse(outputs.ShopFunctions!).checkpoint
    const command = new GetFunctionConfigurationCommand({ FunctionName: checkpointFunction })
    settings = readSettings((await lambda.send(command)).Environment!.Variables!)
    const { tables, bucket } = settings
    const options = { ...clientOptions, streams: (name: string) => name, prefix: '' }
    ports = awsPorts({ ...options, tables, bucket })
    results = awsPorts({ ...options, tables, bucket: outputs.ResultsBucket! })
  })
  after(async () => {
    lambda.destroy()
    ports?.close()
    results?.close()
    await destroy(source)
  })

  /** What is open knows one run: another one takes opening it again. */
  async function opened<T>(work: (deployed: Deployed) => Promise<T>): Promise<T> {
    const bucket = outputs.ResultsBucket!
    const sourceStream = outputs.SourceStream!
    const of = { app: visits(), outputs, id: 'Shop', sourceStream, results: { bucket, prefix: 'out/' } }
    const deployed = await openDeployed(of)
    try {
      return await work(deployed)
    } finally {
      deployed.close()
    }
  }

  const withRun = <T>(work: (deployed: Deployed, run: string) => Promise<T>) =>
    opened(async deployed => work(deployed, (await deployed.topology()).run))

  async function succeeds(...words: string[]) {
    const { code, out, err } = await millrace(...words)
    assert.equal(code, 0, err)
    return out
  }

  /** One more round, and a checkpoint that has it. All that was ever written is what one embedded run writes. */
  async function nextRound(): Promise<void> {
    await opened(async deployed => {
      await deployed.feed(0, rounds[fed++]!)
      await deployed.settle()
      assert.deepEqual(sorted(await deployed.rows('pages')), await pagesOf(fed))
    })
  }

  /** What there is of a run in tables and bucket: how many rows, or objects, of each name. */
  async function leftOf(run: string): Promise<Record<string, number>> {
    const left: Record<string, number> = {}
    const seen = (name: string) => {
      if (name.includes(run)) left[name] = (left[name] ?? 0) + 1
      return false
    }
    const { tables, bucket } = settings
    const clearing = awsClearing({ ...clientOptions, tables, bucket, prefix: '' })
    for (const look of [clearing.log, clearing.state])
      for (let after: string | undefined; ; ) {
        const { next } = await look(seen, after, 1000)
        if (next === undefined) break
        after = next
      }
    clearing.close()
    for (const key of await ports.blobs.list('')) seen(key)
    return left
  }

  test('old checkpoints go with what nothing else names, and logs behind them; a savepoint stays', async () => {
    await nextRound()
    savepoint = JSON.parse(await succeeds('savepoint', 'create', '--stack', source.stack, '--json')).path
    for (let i = 0; i < KEPT; i++) await nextRound()
    await withRun(async (deployed, run) => {
      const complete = (await deployed.decisions()).filter(d => d.decision.outcome === 'complete').map(d => d.checkpoint)
      assert.ok(complete.length > KEPT, `${complete.length} checkpoints`)
      const kept = await listManifests(ports.blobs, run)
      assert.deepEqual(kept, complete.slice(-KEPT))
      const subtasks = (await Promise.all(kept.map(n => readManifest(ports.blobs, run, n)))).flatMap(m => m.subtasks)
      const named = subtasks.flatMap(s => [
        ...s.channelState,
        ...[...(s.runs?.flat() ?? []), ...(s.changes ?? [])].map(b => b.blob),
      ])
      const logs = [...new Set(subtasks.map(s => s.log))]
      const there = await Promise.all(logs.flatMap(log => [segmentsOf, channelsOf].map(of => ports.blobs.list(of(log)))))
      assert.ok(named.length > 0)
      assert.deepEqual(there.flat().sort(), [...new Set(named)].sort())
      // The source has no keyed state to fold: its log stays from the newest cut on.
      const { log, version } = subtasks.findLast(s => s.log === logs[0])!
      assert.equal(await ports.log.floor(log), version)
      assert.equal((await ports.log.range(log, 1, 1000))[0]!.version, version)
    })
    await succeeds('savepoint', 'verify', savepoint)
  })

  test('what replaced runs have left goes behind checkpoints, but not what somebody copies; the savepoint starts the stack again', async () => {
    const current = () => withRun(async (_, run) => run)
    const runs: string[] = []
    for (let i = 0; i < 2; i++) {
      runs.push(await current())
      await succeeds('stop', '--stack', source.stack)
      await succeeds('start', '--stack', source.stack, '--from-snapshot', `stack:${source.stack}`)
      await nextRound()
    }
    const [first, second] = runs as [string, string]
    const before = await leftOf(second)
    for (const left of [before, await leftOf(first)]) assert.ok(Object.keys(left).length > 5)
    // As an idle stack's schedule does.
    const cleaned = (run: string) =>
      until(`the end of ${run}`, async () => {
        await withRun(deployed => deployed.execute())
        return Object.keys(await leftOf(run)).length <= 1 || undefined
      })
    await withVariables(lambda, [checkpointFunction], { [KEEP_FORMER]: '0' }, async () => {
      const newest = (await listManifests(ports.blobs, second)).at(-1)!
      await holding(ports, second, newest, async () => {
        await cleaned(first)
        const { [`holds/${second}/`]: _, ...held } = await leftOf(second)
        for (const [name, count] of Object.entries(before)) assert.equal(held[name], count, name)
      })
      await cleaned(second)
    })
    for (const run of runs) assert.deepEqual(await leftOf(run), { [`${run}/decisions`]: 1 })

    await withRun(deployed => deployed.settle())
    await succeeds('savepoint', 'verify', savepoint)
    await succeeds('stop', '--stack', source.stack)
    await succeeds('start', '--stack', source.stack, '--from-snapshot', savepoint, '--replace')
    // It was taken behind the first round, and all of the others are read again.
    const ofSavepoint = await pagesOf(1)
    const wanted = (await pagesOf(fed)).filter(row => !ofSavepoint.includes(row))
    await withRun(async (deployed, run) => {
      await deployed.settle()
      assert.deepEqual(sorted(await visibleRows(results.blobs, `out/pages/run=${run}/`)), wanted)
    })
  })
})
