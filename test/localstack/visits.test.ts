import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { TooManyRequestsException } from '@aws-sdk/client-lambda'
import { expected, sorted } from '../functions/embedded-run.ts'
import { generate, visits } from '../functions/visits.ts'
import { destroy, type StackSource } from './cdk.ts'
import { deployAnew } from './deploy-anew.ts'
import { type Deployed, type Execution, until } from './deployed.ts'
import { type FaultyProxy, openFaultyProxy } from './faulty-proxy.ts'
import { remains, resourcesOf } from './remains.ts'
import { endpoint, withoutLocalStack } from './resources.ts'
import { mortal, type RivalCounts, rival, withConcurrency, withVariables } from './unreliable.ts'

const source: StackSource = { stack: 'Visits', app: 'test/localstack/stacks/visits-app.ts' }
const SPLITS = 2
const RECORDS = 400
/** Fed so far: each test adds a round. */
const rounds: string[][][] = []

describe('a pipeline of three stages in a stack of its own', { skip: withoutLocalStack }, () => {
  let deployed: Deployed
  /** All of the stack's. */
  let functions: string[]
  before(async () => {
    deployed = (await deployAnew(source, visits())).deployed
    const all = await resourcesOf(source.stack)
    functions = all.filter(r => r.type === 'AWS::Lambda::Function' && r.logicalId.startsWith('Pipeline')).map(r => r.id)
  })
  // Open to the end: an invocation that began with it would try to reach it again and again, and its shard would wait for that.
  let proxy: FaultyProxy | undefined
  after(async () => {
    deployed?.close()
    await proxy?.close()
  })

  const stages = () => Object.values(deployed.functions).map(f => f.function)
  const nextRound = () => generate(RECORDS, SPLITS, rounds.length)

  async function feed(round: string[][]): Promise<void> {
    rounds.push(round)
    await Promise.all(round.map((split, shard) => deployed.feed(shard, split)))
  }

  /** All rounds so far give what they give in one embedded run. */
  async function assertResults(): Promise<void> {
    const fed = Array.from({ length: SPLITS }, (_, i) => rounds.flatMap(round => round[i]!))
    assert.deepEqual(sorted(await deployed.rows('pages')), (await expected(visits(), fed, SPLITS)).pages)
  }

  /** Rivals of all mappings while `work` runs: batches come twice, at the same time, and from the beginning of the streams or from now on. */
  async function withRivals(from: 'beginning' | 'now', work: (counts: RivalCounts) => Promise<void>): Promise<void> {
    let ended = false
    const counts = { done: 0, partly: 0, killed: 0, throttled: 0 }
    const shards = Object.keys(deployed.functions).flatMap(stage =>
      Array.from({ length: SPLITS }, (_, shard) => ({ stage, shard })),
    )
    const rivals = shards.map(async ({ stage, shard }) => {
      const position = from === 'now' ? await deployed.position(stage, shard) : undefined
      await rival(deployed, stage, shard, position, counts, () => ended)
    })
    const working = work(counts).finally(() => {
      ended = true
    })
    await Promise.all([working, ...rivals])
  }

  test('gives what an embedded run gives', async () => {
    await feed(nextRound())
    await deployed.settle()
    await assertResults()
    const outcomes = (await deployed.decisions()).map(d => d.decision.outcome)
    assert.deepEqual([...new Set(outcomes)], ['complete'])
  })

  test('takes checkpoints on its schedule, one after the other, and none when nothing flowed', async () => {
    let minute = 0
    /** LocalStack has no scheduler that acts. */
    const look = (at: number) => deployed.look(new Date(at * 60_000).toISOString(), { chain: true })
    const [executions, before] = [await deployed.executions(), (await deployed.decisions()).length]
    assert.equal(await look(minute++), 'nothing')
    assert.equal(await deployed.executions(), executions)
    const [first, second] = nextRound() as [string[], string[]]
    rounds.push([first, second])
    const half = Math.ceil(RECORDS / 4)
    await deployed.feed(0, first.slice(0, half))
    await deployed.consumed()
    assert.equal(await look(minute), 'begun')
    assert.match(await look(minute++), /begun|nothing/)
    assert.equal(await deployed.executions(), executions + 1, 'a call that comes again begins nothing')
    // What comes after this is the chain's own doing, as long as it finds something.
    await until('a checkpoint', async () => (await deployed.decisions()).length > before || undefined)
    await deployed.feed(0, first.slice(half))
    await deployed.feed(1, second)
    await deployed.consumed()
    await until('all rows', async () => {
      await look(minute++)
      return assertResults().then(
        () => true,
        () => undefined,
      )
    })
    await until('the end of the chain', async () => (await deployed.running()) === 0 || undefined)
    assert.equal(await look(minute++), 'nothing')
    for (const { decision } of await deployed.decisions()) assert.equal(decision.outcome, 'complete')
  })

  test('takes each batch once when it comes twice, at the same time and late', async () => {
    await withRivals('beginning', async counts => {
      await feed(nextRound())
      await deployed.settle()
      assert.ok(counts.done > 10, `rivals did next to nothing: ${JSON.stringify(counts)}`)
    })
    await assertResults()
  })

  test('loses nothing when its functions are killed in the middle of batches', async () => {
    await withVariables(deployed.lambda, stages(), mortal(400), () =>
      withRivals('now', async counts => {
        while (counts.killed < 5) {
          await feed(nextRound())
          await deployed.drained()
        }
      }),
    )
    await deployed.settle()
    await assertResults()
  })

  test('loses nothing when functions are killed while they take a checkpoint', async () => {
    await feed(nextRound())
    await deployed.drained()
    const controller = functions.filter(name => !stages().includes(name))
    await withVariables(deployed.lambda, controller, mortal(3_000), () => deployed.settle())
    await assertResults()
  })

  test('loses nothing when its functions are throttled, all of them and for some time', async () => {
    let checkpoint: Promise<Execution> | undefined
    await withConcurrency(deployed.lambda, functions, 0, async () => {
      await feed(nextRound())
      checkpoint = deployed.execute()
      const [stage] = Object.keys(deployed.functions)
      await assert.rejects(deployed.deliver(stage!, 0, []), TooManyRequestsException)
    })
    assert.equal((await checkpoint)?.status, 'SUCCEEDED')
    // One environment for two shards and the rivals of both.
    await withConcurrency(deployed.lambda, functions, 1, () =>
      withRivals('now', async counts => {
        // A rival has something to deliver only while records flow.
        while (counts.throttled === 0) {
          await feed(nextRound())
          await deployed.drained()
        }
      }),
    )
    await deployed.settle()
    await assertResults()
  })

  test('loses nothing when services throttle it and answers are lost', async () => {
    proxy = await openFaultyProxy(endpoint!, { throttled: 0.05, answerLost: 0.05 }, 1)
    const elsewhere = { AWS_ENDPOINT_URL: proxy.endpoint, AWS_ENDPOINT_URL_S3: proxy.endpoint }
    await withVariables(deployed.lambda, functions, elsewhere, async () => {
      await feed(nextRound())
      await deployed.settle()
    })
    assert.ok(proxy.counts.throttled > 10 && proxy.counts.lost > 10, JSON.stringify(proxy.counts))
    await assertResults()
  })

  test('isolates records on which its code throws, says which and why, and goes on with all others', async () => {
    const round = nextRound()
    rounds.push(round)
    const { at } = JSON.parse(round[0]![0]!)
    const poison = [0, 30, 31].map(i => JSON.stringify({ id: 10_000 + i, user: 'u0', page: 'poison', at }))
    const fed = [poison[0]!, ...round[0]!.slice(0, 30), poison[1]!, poison[2]!, ...round[0]!.slice(30)]
    await Promise.all([deployed.feed(0, fed), deployed.feed(1, round[1]!)])
    await deployed.settle()
    await assertResults()
    const rejected = await deployed.rows('rejected')
    assert.deepEqual(rejected.map(r => r.raw).sort(), poison)
    for (const { reason } of rejected) assert.match(reason, /3 tries failed: .*RangeError: no page poison/)
    const kept = await deployed.deadLetters()
    assert.deepEqual(kept.map(({ raw }) => raw).sort(), poison)
  })

  test('leaves nothing when it is destroyed', async () => {
    const resources = await resourcesOf(source.stack)
    await destroy(source)
    assert.deepEqual(await remains(resources), [])
  })
})
