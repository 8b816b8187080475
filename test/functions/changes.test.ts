import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { changeArrivals } from '../../runtime/aws/functions/change-event.ts'
import { subtaskOfShard } from '../../runtime/aws/functions/shard-hash.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { ChangedVisit, changeEvent, changeMapping, inserted, jsonOf, tableOf } from './changes.ts'
import { expected, sorted } from './embedded-run.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { type Visit, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment } from './world.ts'

const THROUGH = { batchItemFailures: [], state: {} }
const app = (onRecord?: (visit: Visit) => void) => visits(onRecord, undefined, ChangedVisit)
const quiet = (t: TestContext) => {
  for (const level of ['warn', 'error'] as const) t.mock.method(console, level, () => {})
}

async function open(subtasks = 1, onRecord?: (visit: Visit) => void) {
  const { shards, visits: all } = tableOf(400, subtasks)
  const world = await embeddedWorld(app(onRecord), [], 2, { kind: 'dynamodb', subtasks })
  const handler = () => stageHandler(environment(world, world.topology.stages[0]!.stage.id))
  const embedded = (await expected(app(), [all.map(jsonOf)], 2)).pages
  assert.ok(embedded.length > 20)
  return { shards, world, handler, embedded }
}

type Opened = Awaited<ReturnType<typeof open>>

/** The end of a test: everything through, one checkpoint, and the results of an embedded run of the same changes in one line. */
async function finish({ world, shards, embedded }: Opened, handler: Parameters<typeof changeMapping>[1]): Promise<void> {
  const mappings = [changeMapping(shards, handler), ...deploy(world, world.topology)]
  await drain(mappings, 10)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  assert.deepEqual(sorted(await world.rows('pages')), embedded)
}

const headOf = async ({ topology, ports }: EmbeddedWorld, shard = 0) =>
  (await loadHead(ports.log, topology.log(0, shard), Number.POSITIVE_INFINITY)).head

describe('changes of a DynamoDB table', () => {
  test('six shards, parents and children, in one subtask: what an embedded run writes of the same changes', async () => {
    const opened = await open()
    const { world, shards, handler, embedded } = opened
    assert.deepEqual(world.topology.splits, { visits: ['changes-0'] })
    const mappings = [changeMapping(shards, handler()), ...deploy(world, world.topology)]
    for (let i = 0; i < 9; i++) for (const m of mappings) await m.step(10)
    assert.equal((await checkpoint(world, mappings.slice(1))).outcome, 'complete')
    await drain(mappings, 10)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    assert.equal((await checkpoint(world, mappings)).outcome, 'nothing')
    assert.deepEqual(sorted(await world.rows('pages')), embedded)
    const { source } = (await headOf(world)).fields
    assert.deepEqual(Object.keys(source!).sort(), shards.map(s => s.id).sort())
  })

  test('three subtasks share the shards: the changes of an item stay in order, from a parent to its child too', async () => {
    const opened = await open(3)
    const used = new Set(opened.shards.map(({ id }) => subtaskOfShard(id, 3)))
    assert.equal(used.size, 3)
    const moved = opened.shards.filter(s => s.parent !== undefined && s.parent !== '*')
    assert.ok(moved.some(s => subtaskOfShard(s.id, 3) !== subtaskOfShard(s.parent!, 3)))
    await finish(opened, opened.handler())
  })

  test('the same batches again, warm and cold, and others from before the position, change nothing (A7)', async () => {
    const opened = await open()
    const { world, shards, handler } = opened
    const warm = handler()
    const [a, , b] = shards
    for (const shard of [a!, b!]) assert.deepEqual(await warm(changeEvent(shard, shard.records.slice(0, 12)), context()), THROUGH)
    const before = (await headOf(world)).version
    for (const again of [warm, handler()])
      for (const [shard, from, to] of [
        [a!, 0, 12],
        [b!, 3, 12],
        [a!, 11, 12],
      ] as const)
        assert.deepEqual(await again(changeEvent(shard, shard.records.slice(from, to)), context()), THROUGH)
    assert.equal((await headOf(world)).version, before)
    await finish(opened, handler())
  })

  test('batches of several shards at the same time, each to two environments: all race for one subtask, nothing is lost or doubled', async () => {
    const opened = await open()
    const { shards, handler } = opened
    const environments = [handler(), handler(), handler(), handler()]
    const firsts = [shards[0]!, shards[2]!, shards[4]!]
    for (let from = 0; from < 30; from += 10) {
      const events = firsts.map(shard => changeEvent(shard, shard.records.slice(from, from + 10)))
      const twice = [...events, events[0]!]
      const answers = await Promise.all(twice.map((event, i) => environments[i]!(event, context())))
      for (const answer of answers) assert.deepEqual(answer, THROUGH)
    }
    await finish(opened, handler())
  })

  test('time that runs out: the batch comes again from the first change that is not committed', async t => {
    quiet(t)
    const opened = await open()
    const [shard] = opened.shards
    const warm = opened.handler()
    await warm(changeEvent(shard!, shard!.records.slice(0, 5)), context())
    const itemIdentifier = shard!.records[5]!.dynamodb.SequenceNumber
    const late = await warm(changeEvent(shard!, shard!.records.slice(0, 10)), context(0))
    assert.deepEqual(late, { batchItemFailures: [{ itemIdentifier }], state: {} })
    await finish(opened, warm)
  })

  test('user code throws on one each time: dead letter with its shard, all others as if it had not been there', async t => {
    quiet(t)
    const opened = await open(1, v => {
      if (v.page === 'poison') throw new RangeError('no such page')
    })
    const { world, shards, handler } = opened
    const [first, ...rest] = shards
    const bad = {
      id: 9_999,
      user: 'u0',
      page: 'poison',
      at: Number(first!.records[8]!.dynamodb.ApproximateCreationDateTime) * 1000,
    }
    // Its number has to lie in between: so all of the shard's are new.
    const images = first!.records.map(r => r.dynamodb.NewImage!)
    const fresh = images.map(i => inserted({ id: Number(i.id!.N), user: i.user!.S, page: i.page!.S, at: Number(i.at!.N) }))
    const poison = inserted(bad)
    const numbers = [...fresh, poison].map(r => r.dynamodb.SequenceNumber)
    const records = fresh
      .toSpliced(8, 0, poison)
      .map((r, i) => ({ ...r, dynamodb: { ...r.dynamodb, SequenceNumber: numbers[i]! } }))
    await finish({ ...opened, shards: [{ ...first!, records }, ...rest] }, handler())
    const rejected = await world.rows('rejected')
    assert.deepEqual(
      rejected.map(r => r.raw),
      [jsonOf(bad)],
    )
    const [key] = await world.ports.blobs.list('dead-letters/')
    assert.equal(key, `dead-letters/visits/changes-0/${first!.id}-${numbers[8]}.json`)
    const letter = JSON.parse(new TextDecoder().decode(await world.ports.blobs.get(key!)))
    assert.deepEqual([letter.split, letter.shard, letter.sequenceNumber], ['changes-0', first!.id, numbers[8]])
  })

  test("a window's last call, without records, is answered with a state; a batch without its shard is refused", async () => {
    const opened = await open()
    const { world, shards, handler } = opened
    assert.deepEqual(await handler()(changeEvent(shards[0]!, []), context()), THROUGH)
    const { shardId: _, window: __, ...bare } = changeEvent(shards[0]!, shards[0]!.records.slice(0, 3))
    await assert.rejects(handler()(bare as never, context()), /without the id of their shard.*tumbling window/)
    assert.equal((await headOf(world)).version, 0)
  })
})

describe('a change', () => {
  const one = (dynamodb: object, eventName = 'MODIFY') =>
    changeArrivals('shardId-1', [
      { eventName, dynamodb: { Keys: { id: { N: '1' } }, SequenceNumber: '7', ...dynamodb } } as never,
    ])
  const json = (dynamodb: object, eventName?: string) =>
    JSON.parse(Buffer.from(one(dynamodb, eventName).records[0]!.data).toString())

  test('is JSON: kind, keys, images that are there, and when', () => {
    const OldImage = { id: { N: '1' } }
    assert.deepEqual(json({ OldImage, ApproximateCreationDateTime: 1_480_642_020 }, 'REMOVE'), {
      kind: 'remove',
      keys: { id: 1 },
      new: null,
      old: { id: 1 },
      at: 1_480_642_020_000,
    })
  })

  test('has values of all types as JSON has them', () => {
    const NewImage = {
      s: { S: 'a' },
      n: { N: '-1.5' },
      large: { N: '12345678901234567890' },
      b: { B: 'AAE=' },
      yes: { BOOL: true },
      none: { NULL: true },
      ss: { SS: ['x', 'y'] },
      ns: { NS: ['1', '2.5'] },
      bs: { BS: ['AA=='] },
      l: { L: [{ N: '1' }, { L: [] }] },
      m: { M: { __proto__x: { S: '' }, in: { M: {} } } },
    }
    assert.deepEqual(json({ NewImage }).new, {
      s: 'a',
      n: -1.5,
      large: '12345678901234567890',
      b: 'AAE=',
      yes: true,
      none: null,
      ss: ['x', 'y'],
      ns: [1, 2.5],
      bs: ['AA=='],
      l: [1, []],
      m: { __proto__x: '', in: {} },
    })
  })

  test('moves the position of its shard; shards that have had nothing for two days are forgotten', () => {
    const hour = 3_600
    const { after, holds, records } = one({ ApproximateCreationDateTime: 100 * hour })
    const [record] = records
    const before = { 'shardId-0': `5@${52 * hour * 1000}`, 'shardId-old': `999@${51 * hour * 1000}`, 'shardId-1': '6@0' }
    const position = after(before, record!)
    assert.deepEqual(position, { 'shardId-0': `5@${52 * hour * 1000}`, 'shardId-1': `7@${100 * hour * 1000}` })
    assert.equal(holds(before, record!), false)
    assert.equal(holds(position, record!), true)
    assert.equal(holds({ 'shardId-1': '10@0' }, record!), true, 'as numbers')
    assert.equal(holds({ 'shardId-2': '10@0' }, record!), false)
  })
})
