import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Ports } from '../../runtime/ports.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { expected, sorted } from './embedded-run.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { kafkaEvent, kafkaMapping, type Topic, topicOf } from './topic.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment } from './world.ts'

const input = generate(400, 3)
const embedded = await expected(visits(), input, 2)

const quiet = (t: TestContext) => {
  for (const level of ['warn', 'error'] as const) t.mock.method(console, level, () => {})
}

async function open(values: readonly (readonly (string | null)[])[] = input, app: Pipeline = visits()) {
  const topic = topicOf('clicks', values)
  const world = await embeddedWorld(app, [], 2, { kind: 'kafka', topic: 'clicks', partitions: values.length })
  const handler = (back = world.back) => stageHandler(environment(world, world.topology.stages[0]!.stage.id, back))
  return { topic, world, handler }
}

/** The end of a test: everything through, one checkpoint, and the results of an embedded run. */
async function finish(world: EmbeddedWorld, topic: Topic, handler: Parameters<typeof kafkaMapping>[1]): Promise<void> {
  const mappings = [kafkaMapping(topic, handler), ...deploy(world, world.topology)]
  await drain(mappings)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
}

const versions = async (world: EmbeddedWorld) => {
  const logs = [0, 1, 2].map(shard => world.topology.log(0, shard))
  const heads = await Promise.all(logs.map(log => loadHead(world.ports.log, log, Number.POSITIVE_INFINITY)))
  return heads.map(({ head }) => head.version)
}

describe('a topic of Kafka', () => {
  test('three partitions, several in a batch, several checkpoints: what an embedded run writes', async () => {
    assert.ok(embedded.pages.length > 20)
    const { topic, world, handler } = await open()
    assert.deepEqual(world.topology.splits, { visits: ['clicks-0', 'clicks-1', 'clicks-2'] })
    const mappings = [kafkaMapping(topic, handler()), ...deploy(world, world.topology)]
    for (let i = 0; i < 3; i++) for (const m of mappings) await m.step(20)
    assert.equal((await checkpoint(world, mappings.slice(1))).outcome, 'complete')
    await drain(mappings, 7)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    assert.equal((await checkpoint(world, mappings)).outcome, 'nothing')
    assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
  })

  test('the same batch again, warm and cold, and batches of other sizes from before the position, change nothing (A7)', async () => {
    const { topic, world, handler } = await open()
    const warm = handler()
    await warm(kafkaEvent(topic, 50), context())
    const before = await versions(world)
    for (const again of [warm, warm, handler()]) await again(kafkaEvent(topic, 50), context())
    await warm(kafkaEvent(topic, 10, [9, 0, 60]), context())
    assert.deepEqual(await versions(world), before)
    for (const [i, limit] of [60, 20, 75, 75].entries()) await (i === 2 ? handler() : warm)(kafkaEvent(topic, limit), context())
    await finish(world, topic, handler())
  })

  test('two environments that get the same batches at the same time: one of each pair loses, nothing else does', async () => {
    const { topic, world, handler } = await open()
    const pair = [handler(), handler()]
    const both = async (...delivery: Parameters<ReturnType<typeof handler>>) => {
      const [answer] = await Promise.all(pair.map(one => one(...delivery)))
      return answer!
    }
    const mapping = kafkaMapping(topic, both)
    while (await mapping.step(30));
    await finish(world, topic, handler())
  })

  test('a partition that fails fails the invocation, the others go on; all of the batch comes again', async t => {
    quiet(t)
    const { topic, world, handler } = await open()
    const back = (deadline: () => number | undefined) => {
      const backing = world.back(deadline)
      const putIfAbsent: Ports['log']['putIfAbsent'] = async (log, v, item) => {
        if (log.endsWith('/1') && log.includes('source')) throw new Error('killed')
        return world.ports.log.putIfAbsent(log, v, item)
      }
      return { ...backing, ports: { ...world.ports, log: { ...world.ports.log, putIfAbsent } } }
    }
    await assert.rejects(handler(back)(kafkaEvent(topic, 40), context()), /killed/)
    assert.deepEqual(await versions(world), [1, 0, 1])
    await handler()(kafkaEvent(topic, 40), context())
    assert.deepEqual(await versions(world), [1, 1, 1])
    await finish(world, topic, handler())
  })

  test('time that runs out: the invocation ends with an error, so that Lambda delivers again', async t => {
    quiet(t)
    const { topic, world, handler } = await open()
    const warm = handler()
    await assert.rejects(warm(kafkaEvent(topic, 40), context(0)), /no time (is )?left/)
    assert.deepEqual(await versions(world), [0, 0, 0])
    await warm(kafkaEvent(topic, 40), context())
    await finish(world, topic, warm)
  })
})

describe('records of Kafka that can not be taken', () => {
  test('user code throws on one each time: dead letter with its offset, all others as if it had not been there', async t => {
    quiet(t)
    const at = Number(JSON.parse(input[1]![0]!).at)
    const bad = JSON.stringify({ id: 9_999, user: 'u1', page: 'poison', at })
    const values = [input[0]!, input[1]!.toSpliced(17, 0, bad), input[2]!]
    const app = visits(v => {
      if (v.page === 'poison') throw new RangeError('no such page')
    })
    const { topic, world, handler } = await open(values, app)
    await finish(world, topic, handler())
    const rejected = await world.rows('rejected')
    assert.deepEqual(
      rejected.map(r => r.raw),
      [bad],
    )
    assert.match(rejected[0].reason, /3 tries failed: .*no such page/)
    const [key] = await world.ports.blobs.list('dead-letters/')
    assert.equal(key, 'dead-letters/visits/clicks-1/0000000000000000052.json')
    const letter = JSON.parse(new TextDecoder().decode(await world.ports.blobs.get(key!)))
    assert.deepEqual([letter.split, letter.offset], ['clicks-1', 52])
  })

  test('a tombstone is null, which this schema refuses; no JSON is none', async () => {
    const values = [input[0]!.toSpliced(3, 0, null as never, '{'), input[1]!, input[2]!]
    const { topic, world, handler } = await open(values)
    await finish(world, topic, handler())
    const rejected = (await world.rows('rejected')).sort((a, b) => a.raw.length - b.raw.length)
    assert.deepEqual(
      rejected.map(r => r.raw),
      ['{', 'null'],
    )
    assert.match(rejected[0].reason, /^not JSON/)
    assert.match(rejected[1].reason, /^invalid/)
  })
})

describe('batches of Kafka that are none of the stage', () => {
  test('a partition that came later, another topic, and two in one: refused before anything is taken', async () => {
    const { topic, world, handler } = await open()
    const { records } = kafkaEvent(topic, 5)
    const strangers = records['clicks-1']!.map(r => ({ ...r, partition: 3 }))
    await assert.rejects(
      handler()({ records: { ...records, 'clicks-3': strangers } }, context()),
      /partition clicks-3, .* it reads clicks-0, clicks-1, clicks-2\. The topic has more partitions/,
    )
    const orders = records['clicks-1']!.map(r => ({ ...r, topic: 'orders' }))
    await assert.rejects(handler()({ records: { 'orders-1': orders } }, context()), /partition orders-1/)
    const mixed = { 'clicks-1': [...records['clicks-1']!, ...records['clicks-2']!] }
    await assert.rejects(handler()({ records: mixed }, context()), /records of clicks-1 and of clicks-2/)
    const keyed = stageHandler(environment(world, world.topology.stages[1]!.stage.id))
    await assert.rejects(keyed({ records }, context()), /it reads no topic/)
    assert.deepEqual(await handler()({ records: { 'clicks-1': [] } }, context()), { batchItemFailures: [] })
    assert.deepEqual(await versions(world), [0, 0, 0])
    await finish(world, topic, handler())
  })
})
