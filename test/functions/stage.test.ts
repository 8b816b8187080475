import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import type { Ports } from '../../runtime/ports.ts'
import { readHeader } from '../../runtime/protocol/frame.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { expected, sorted } from './embedded-run.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment, eventOf, type Handler, mapping, shardId } from './world.ts'

const input = generate(400, 2)
const embedded = await expected(visits(), input, 2)

async function open() {
  const world = await embeddedWorld(visits(), input, 2)
  const [source, keyed, window] = world.topology.stages
  return { world, source: source!, keyed: keyed!, window: window! }
}

/** The end of a test: everything through, one checkpoint, and the results of an embedded run. */
async function finish(world: EmbeddedWorld, mappings = deploy(world, world.topology)): Promise<void> {
  await drain(mappings)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
}

/** Ports of an environment of its own. */
function withLog(world: EmbeddedWorld, log: Partial<Ports['log']>) {
  return (deadline: () => number | undefined) => {
    const backing = world.back(deadline)
    return { ...backing, ports: { ...world.ports, log: { ...world.ports.log, ...log } } }
  }
}

async function batch(world: EmbeddedWorld, stream: string, shard: number, limit: number) {
  return eventOf(await world.poll(stream, shard, undefined, limit), shardId(shard))
}

const version = async (world: EmbeddedWorld, stage: number, shard: number) =>
  (await loadHead(world.ports.log, world.topology.log(stage, shard), Number.POSITIVE_INFINITY)).head.version

describe('functions of stages', () => {
  test('two shards, several checkpoints: what they write is what an embedded run writes', async () => {
    assert.ok(embedded.pages.length > 20)
    const { world } = await open()
    const mappings = deploy(world, world.topology)
    for (let i = 0; i < 3; i++) for (const m of mappings) await m.step(40)
    assert.deepEqual(await world.rows('pages'), [], 'nothing is visible before a checkpoint')
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    await drain(mappings, 7)
    await finish(world, mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'nothing', 'nothing runs when nothing flowed')
  })

  test('the same batch again, warm and cold, is told to be through and changes nothing (A7)', async () => {
    const { world, source, keyed } = await open()
    const event = await batch(world, 'users-own', 0, 100)
    const warm = stageHandler(environment(world, source.stage.id))
    assert.deepEqual(await warm(event, context()), { batchItemFailures: [] })
    const before = await version(world, 0, 0)
    assert.deepEqual(await warm(event, context()), { batchItemFailures: [] })
    assert.deepEqual(await stageHandler(environment(world, source.stage.id))(event, context()), { batchItemFailures: [] })
    const frames = await batch(world, world.topology.stream(1), 0, 100)
    const next = stageHandler(environment(world, keyed.stage.id))
    assert.ok(frames.Records.length > 0)
    for (const handler of [next, next, stageHandler(environment(world, keyed.stage.id))])
      assert.deepEqual(await handler(frames, context()), { batchItemFailures: [] })
    assert.equal(await version(world, 0, 0), before)
    await finish(world)
  })

  test('two environments that get the same batches at the same time: one of each pair loses, nothing else does', async () => {
    const { world, source, keyed } = await open()
    for (const [stage, stream] of [
      [source, 'users-own'],
      [keyed, world.topology.stream(1)],
    ] as const) {
      const pair = [stageHandler(environment(world, stage.stage.id)), stageHandler(environment(world, stage.stage.id))]
      for (let shard = 0; shard < 2; shard++) {
        const both: Handler = async event => {
          const answers = await Promise.all(pair.map(handler => handler(event, context())))
          return answers.find(a => a.batchItemFailures.length > 0) ?? answers[0]!
        }
        const m = mapping(world, stream, shard, both)
        while (await m.step(30));
      }
    }
    await finish(world)
  })

  test('a batch of another size, from anywhere before the position, after each commit', async () => {
    const { world, source } = await open()
    const handler = stageHandler(environment(world, source.stage.id))
    for (const limit of [10, 25, 5, 60, 60, 31])
      assert.deepEqual(await handler(await batch(world, 'users-own', 0, limit), context()), { batchItemFailures: [] })
    await finish(world)
  })
})

describe('frames that nobody has decided', () => {
  /** A function that is killed when it has sent and not committed. */
  async function killed(world: EmbeddedWorld, stage: string): Promise<void> {
    const log = {
      putIfAbsent: async (name: string, v: number, item: Uint8Array) => {
        if (name.endsWith(`${stage}/0`)) throw new Error('killed')
        return world.ports.log.putIfAbsent(name, v, item)
      },
    }
    const dying = stageHandler(environment(world, stage, withLog(world, log)))
    await assert.rejects(dying(await batch(world, 'users-own', 0, 20), context()), /killed/)
  }

  test('stop the batch there, and go on when the producer has come again (B5)', async () => {
    const { world, source, keyed } = await open()
    await killed(world, source.stage.id)
    const frames = await batch(world, world.topology.stream(1), 0, 100)
    const consumer = stageHandler(environment(world, keyed.stage.id))
    const first = frames.Records[0]!.kinesis.sequenceNumber
    assert.deepEqual(await consumer(frames, context()), { batchItemFailures: [{ itemIdentifier: first }] })
    assert.equal(await version(world, 1, 0), 0)
    await finish(world)
  })

  test('are waited for, a little: the producer commits in the meantime', async () => {
    const { world, source, keyed } = await open()
    await killed(world, source.stage.id)
    const frames = await batch(world, world.topology.stream(1), 0, 100)
    const consumer = stageHandler(environment(world, keyed.stage.id))(frames, context())
    await stageHandler(environment(world, source.stage.id))(await batch(world, 'users-own', 0, 20), context())
    assert.deepEqual(await consumer, { batchItemFailures: [] })
    await finish(world)
  })

  test('are decided by the consumer when they are older than any function lives (B3)', async () => {
    const { world, source, keyed } = await open()
    await killed(world, source.stage.id)
    const records = await world.poll(world.topology.stream(1), 0, undefined, 100)
    const old = records.map(r => ({ ...r, arrivedAt: r.arrivedAt - 10 * 60_000 }))
    const consumer = stageHandler(environment(world, keyed.stage.id))
    assert.deepEqual(await consumer(eventOf(old, shardId(0)), context()), { batchItemFailures: [] })
    assert.equal(await version(world, 0, 0), 1, 'an abort lies in the slot')
    await finish(world)
  })
})

describe("a stage's own stream that somebody has split", () => {
  test('takes no frame of an attempt that would land in a child: the attempt is void, and done again for those that are open (F1)', async () => {
    const { world, source } = await open()
    const stream = world.topology.stream(1)
    world.between.split(stream, 0)
    const handler = stageHandler(environment(world, source.stage.id))
    const event = eventOf(await world.poll('users-own', 0, undefined, 100), shardId(0))
    assert.deepEqual(await handler(event, context()), { batchItemFailures: [] })
    assert.equal(await version(world, 0, 0), 1, 'one commit')
    const attempts = new Set<string>()
    for (let shard = 0; shard < 4; shard++)
      for (const { data } of await world.poll(stream, shard, undefined, 100)) attempts.add(readHeader(data).attempt)
    assert.equal(attempts.size, 2)
    assert.equal((await world.poll(stream, 0, undefined, 100)).length, 0)
  })

  test('in a way that its subtasks can not follow is refused by name, whoever sees it first, and nothing is taken', async t => {
    t.mock.method(console, 'warn', () => {})
    const { world, source, keyed } = await open()
    const stream = world.topology.stream(1)
    // To the end of one key group.
    for (let at = 1; at < 9; at++) world.between.split(stream, world.between.shards(stream).length - 1)
    const refused = { name: 'StageStreamSplitError', message: /no key group is left.*Nothing is lost.*merge it/ }
    const event = await batch(world, 'users-own', 0, 5)
    await assert.rejects(stageHandler(environment(world, source.stage.id))(event, context()), refused)
    await assert.rejects(cutHandler(environment(world, source.stage.id))({ shards: [0], checkpoint: 1 }, context()), refused)
    const child = { Records: event.Records.map(r => ({ ...r, eventID: `${shardId(7)}:1` })) }
    await assert.rejects(stageHandler(environment(world, keyed.stage.id))(child, context()), refused)
    assert.equal(await version(world, 0, 0), 0)
  })
})

describe('time that runs out', () => {
  const quiet = (t: TestContext) => t.mock.method(console, 'warn', () => {})

  test('before the commit: nothing is committed, and the whole batch comes again (A8)', async t => {
    quiet(t)
    const { world, source } = await open()
    const event = await batch(world, 'users-own', 0, 50)
    const handler = stageHandler(environment(world, source.stage.id))
    const first = event.Records[0]!.kinesis.sequenceNumber
    assert.deepEqual(await handler(event, context(0)), { batchItemFailures: [{ itemIdentifier: first }] })
    assert.equal(await version(world, 0, 0), 0)
    assert.deepEqual(await handler(event, context()), { batchItemFailures: [] })
    await finish(world)
  })

  test('while something does not answer: the invocation ends in time, and what thaws later does not commit', async t => {
    quiet(t)
    const { world, source } = await open()
    let thaw = () => {}
    let frozen = true
    const log = {
      range: async (name: string, from: number, limit: number) => {
        if (frozen && name.endsWith('/0')) await new Promise<void>(resolve => (thaw = resolve))
        return world.ports.log.range(name, from, limit)
      },
    }
    const handler = stageHandler(environment(world, source.stage.id, withLog(world, log)))
    const event = await batch(world, 'users-own', 0, 50)
    const startedAt = Date.now()
    assert.equal((await handler(event, context(4_000))).batchItemFailures.length, 1)
    assert.ok(Date.now() - startedAt < 4_000)
    frozen = false
    const again = handler(event, context())
    thaw()
    assert.deepEqual(await again, { batchItemFailures: [] })
    const commits = await version(world, 0, 0)
    await new Promise(resolve => setTimeout(resolve, 50))
    assert.equal(await version(world, 0, 0), commits)
    await finish(world)
  })
})

describe('batches that are none of the stage', () => {
  test('of two shards, of a shard that it has no subtask for, of something that is no shard, and of nothing', async () => {
    const { world, source, keyed } = await open()
    const handler = stageHandler(environment(world, source.stage.id))
    const event = await batch(world, 'users-own', 0, 2)
    const other = { Records: [event.Records[0]!, { ...event.Records[1]!, eventID: `${shardId(1)}:2` }] }
    await assert.rejects(handler(other, context()), /records of shardId-000000000000 and of shardId-000000000001/)
    const child = { Records: event.Records.map(r => ({ ...r, eventID: `${shardId(7)}:1` })) }
    await assert.rejects(handler(child, context()), /shardId-000000000007.*does not list/)
    await assert.rejects(stageHandler(environment(world, keyed.stage.id))(child, context()), {
      name: 'UnknownShardError',
      message: /shardId-000000000007.*does not list.*comes again/,
      retryable: true,
    })
    await assert.rejects(
      stageHandler(environment(world, keyed.stage.id))({ Records: [{ ...event.Records[0]!, eventID: 'x:1' }] }, context()),
      /not a shard id/,
    )
    assert.deepEqual(await handler({ Records: [] }, context()), { batchItemFailures: [] })
    await assert.rejects(stageHandler(environment(world, 'no-such'))(event, context()), /stage 'no-such'/)
    await finish(world)
  })
})
