import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { KafkaEvent } from '../../runtime/aws/functions/kafka-event.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { embeddedWorld } from '../functions/embedded-world.ts'
import { generate, visits } from '../functions/visits.ts'
import { checkpoint, context, deploy, drain, environment } from '../functions/world.ts'

const { KAFKA_BOOTSTRAP: servers, KAFKA_CLASSPATH: classpath } = process.env
const skip = servers === undefined && 'needs a broker: test/kafka/run.sh'
const input = generate(360, 3)

function java(...args: string[]): ChildProcess {
  const source = fileURLToPath(new URL('Topic.java', import.meta.url))
  return spawn('java', ['-cp', classpath!, source, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
}

async function fill(topic: string): Promise<void> {
  const filling = java('fill', servers!, topic, String(input.length))
  const longest = Math.max(...input.map(values => values.length))
  for (let i = 0; i < longest; i++)
    for (const [partition, values] of input.entries()) if (i < values.length) filling.stdin!.write(`${partition}\t${values[i]}\n`)
  filling.stdin!.end()
  assert.deepEqual(await once(filling, 'exit'), [0, null])
}

/** Lambda's poller, in a process of its own. */
function poller(topic: string) {
  const polling = java('poll', servers!, topic, 'lambda')
  const lines = createInterface({ input: polling.stdout! })[Symbol.asyncIterator]()
  return {
    async poll(limit: number): Promise<KafkaEvent> {
      polling.stdin!.write(`poll ${limit}\n`)
      return JSON.parse((await lines.next()).value!)
    },
    say: (what: 'commit' | 'again') => polling.stdin!.write(`${what}\n`),
    async stop() {
      if (polling.exitCode !== null) return
      polling.stdin!.end()
      await once(polling, 'exit')
    },
  }
}

test('a topic of a real broker, with transactions: polled as Lambda would, killed, delivered again; equal to an embedded run', {
  skip,
  timeout: 300_000,
}, async t => {
  t.mock.method(console, 'warn', () => {})
  const topic = `visits-${process.pid}`
  await fill(topic)
  const world = await embeddedWorld(visits(), [], 2, { kind: 'kafka', topic, partitions: input.length })
  const stage = world.topology.stages[0]!.stage.id
  let handler = stageHandler(environment(world, stage))
  const behind = deploy(world, world.topology)
  const offsets = new Map<string, number[]>()
  let again = 0
  let lambda = poller(topic)
  t.after(() => lambda.stop())
  for (let n = 1; ; n++) {
    // What comes again is no part of the same batch.
    const event = await lambda.poll(20 + (n % 5) * 10)
    if (Object.keys(event.records).length === 0) break
    if (n % 4 === 0) {
      // No error only where another poller's batch had it all.
      await handler(event, context(0)).catch(error => assert.match(error.message, /no time/))
      handler = stageHandler(environment(world, stage))
      lambda.say('again')
      again++
    } else {
      await handler(event, context())
      for (const [split, records] of Object.entries(event.records))
        offsets.set(split, [...(offsets.get(split) ?? []), ...records.map(r => r.offset)])
      // A poller that dies in front of its commit: another one goes on from the last.
      if (n % 5 === 0) {
        await lambda.stop()
        lambda = poller(topic)
      } else lambda.say('commit')
    }
    if (n % 10 === 0) {
      await drain(behind)
      assert.equal((await checkpoint(world, behind)).outcome, 'complete')
    }
  }
  await lambda.stop()
  assert.ok(again > 1)
  assert.equal(offsets.size, 3)
  for (const [i, taken] of [...offsets]
    .sort()
    .map(([, all]) => new Set(all))
    .entries()) {
    assert.equal(taken.size, input[i]!.length)
    assert.ok(Math.max(...taken) > taken.size * 1.2, 'offsets have gaps')
  }
  await drain(behind)
  assert.equal((await checkpoint(world, behind)).outcome, 'complete')
  assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), input, 2)).pages)
  assert.deepEqual(await world.rows('rejected'), [])
})
