import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { monotonous, ndjson, pipeline, print, value } from '../../runtime/index.ts'
import type { CommitLog } from '../../runtime/ports.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { embeddedWorld } from './embedded-world.ts'
import { Visit } from './visits.ts'
import { context, environment, eventOf, mapping, shardId } from './world.ts'

const line = (id: number) => JSON.stringify({ id, user: 'u', page: 'p', at: 1_700_000_000_000 + id })
const FAILS = 7

test('who takes over from a shard that was read into a frame, whose rest the stream keeps no longer, says that frames were lost (F2)', async t => {
  for (const method of ['warn', 'error', 'info'] as const) t.mock.method(console, method, () => {})
  let puts = 0
  let isDown = false
  const app = pipeline('rest')
  app
    .source('visits', ndjson(Visit), { time: v => v.at, watermark: monotonous() })
    .keyBy('user')
    .process({
      state: { n: value<number>() },
      onRecord(v, { state }) {
        if (v.id === FAILS) {
          // What is before it is committed.
          isDown = puts > 0
          throw new Error('not yet')
        }
        state.n.set(v.id)
        return [v]
      },
    })
    .sink('pages', print())
  const world = await embeddedWorld(app, [Array.from({ length: 20 }, (_, id) => line(id))], 2)
  const { topology, ports, between } = world
  const { stage } = topology.stages[1]!
  const stream = topology.stream(1)
  const sources = mapping(world, 'users-own', 0, stageHandler(environment(world, topology.stages[0]!.stage.id)))
  await sources.step()
  const lefts = await Promise.all([0, 1].map(shard => world.poll(stream, shard, undefined, 10)))
  const shard = lefts.findIndex(records => records.length > 0)
  const log: CommitLog = {
    ...ports.log,
    putIfAbsent(...slot) {
      if (isDown) throw new Error('it is down')
      puts++
      return ports.log.putIfAbsent(...slot)
    },
  }
  const handlerOf = () =>
    stageHandler(environment(world, stage.id, deadline => ({ ...world.back(deadline), ports: { ...ports, log } })))
  await handlerOf()(eventOf(lefts[shard]!, shardId(shard)), context()).catch(() => {})
  const { head } = await loadHead(ports.log, topology.log(1, shard), 0)
  assert.equal(head.fields.position.offset, FAILS, 'it stands in front of the record that fails')

  isDown = false
  await ports.streams.trim(stream, shard, lefts[shard]!.at(-1)!.seq)
  between.split(stream, shard)
  await ports.streams.put('users-own', 0, Buffer.from(line(20)))
  for (let tries = 0; tries < 5 && !(await sources.step()); tries++);
  const children = await Promise.all([2, 3].map(child => world.poll(stream, child, undefined, 10)))
  const child = children.findIndex(records => records.length > 0)
  assert.ok(child >= 0)
  const delivery = handlerOf()(eventOf(children[child]!, shardId(2 + child)), context())
  await assert.rejects(delivery, {
    name: 'GapError',
    message: /was read into a frame whose rest is not there any more.*frames were lost/,
  })
})
