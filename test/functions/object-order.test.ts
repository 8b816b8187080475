import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { openObjectList } from '../../runtime/aws/functions/object-list.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { sortedLines } from '../engine/events.ts'
import { faulty } from '../engine/harness.ts'
import { expected, sorted } from './embedded-run.ts'
import { embeddedWorld } from './embedded-world.ts'
import { listOf, memoryBucket, objectQueue } from './objects.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment } from './world.ts'

const all = generate(120, 1)[0]!
const lines = all.slice(0, -1)
const text = (some: readonly string[]) => some.map(line => `${line}\n`).join('')
const packs = [(s: string) => s, gzipSync, zstdCompressSync, (s: string) => s.trimEnd()] as const

class Killed extends Error {}

/** What happens to one batch: which messages are in it, twice or not, who gets it, and at which call that one dies. */
interface Step {
  readonly limit: number
  readonly again: boolean
  readonly cold: boolean
  readonly both: boolean
  readonly diesAt: number | undefined
}

const step = fc.record<Step>({
  limit: fc.integer({ min: 1, max: 6 }),
  again: fc.boolean(),
  cold: fc.boolean(),
  both: fc.boolean(),
  diesAt: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
})

const object = fc.record({ lines: fc.nat(30), pack: fc.nat(packs.length - 1), copies: fc.integer({ min: 1, max: 3 }) })

test('whatever is announced, how often, to whom, and whoever dies: each object is read once, in the order of the list', async t => {
  for (const level of ['warn', 'error'] as const) t.mock.method(console, level, () => {})
  await fc.assert(
    fc.asyncProperty(
      fc.array(object, { minLength: 1, maxLength: 12 }),
      fc.array(step, { maxLength: 12 }),
      async (objects, steps) => {
        const bucket = memoryBucket()
        const world = await embeddedWorld(visits(), [], 2, { kind: 's3', subtasks: 1 }, bucket)
        const stage = world.topology.stages[0]!.stage.id
        const content = new Map<string, string[]>()
        let from = 0
        const sent = objects.map(({ lines: n, pack }, i) => {
          const mine = i === objects.length - 1 ? lines.slice(from) : lines.slice(from, from + n)
          from += n
          content.set(String(i), mine)
          return bucket.put(String(i), packs[pack]!(text(mine)))
        })
        const open = (diesAt?: number) => {
          let dead = false
          const die = ({ n }: { n: number }) => {
            dead ||= n === diesAt
            if (dead) throw new Killed()
          }
          return stageHandler(
            environment(world, stage, deadline => {
              const backing = world.back(deadline)
              return { ...backing, ports: { ...faulty(world.ports, die), clock: world.ports.clock, random: world.ports.random } }
            }),
          )
        }
        let warm = open()
        let next: (event: any, context: any) => Promise<any> = warm
        const queue = objectQueue(world, () => next, context)
        queue.send(...sent.flatMap((one, i) => Array.from({ length: objects[i]!.copies }, () => one)))
        for (const { limit, again, cold, both, diesAt } of steps) {
          if (cold) warm = open()
          const one = diesAt === undefined ? warm : open(diesAt)
          const other = both ? open() : undefined
          next = async (...delivery) => {
            if (again) await one(...delivery).catch(() => {})
            const [answer] = await Promise.all([one(...delivery), other?.(...delivery)])
            return answer
          }
          await queue.step(limit)
        }
        next = open()
        for (let left = 20; queue.length > 0; left--) {
          assert.ok(left > 0, 'it goes on')
          await queue.step()
        }
        const end = bucket.put('end', text(all.slice(-1)))
        content.set('end', all.slice(-1))
        queue.send(end)
        const mappings = [queue, ...deploy(world, world.topology)]
        await drain(mappings)
        assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
        const { listed } = await listOf(world, 0).read(1, 1000)
        const order = listed.map(one => one.object.key)
        assert.deepEqual(order.toSorted(), [...new Set(sent.map(({ key }) => key)), 'end'].sort())
        const plain = order.flatMap(key => content.get(key)!)
        assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), [plain], 2)).pages)
      },
    ),
    { numRuns: Number(process.env.RUNS ?? 40) },
  )
})

describe('the list of a subtask', () => {
  const ref = (key: string) => ({ bucket: 'in', key, version: undefined, etag: 'e', size: 1 })

  test('has its end found by who knows nothing of it, and holds each object in the slot that was first claimed', async () => {
    const { log } = await openEmbedded()
    const keys = Array.from({ length: 37 }, (_, i) => `k${i}`)
    for (const [i, key] of keys.entries()) assert.deepEqual(await openObjectList(log, 'list').append([ref(key)]), [i + 1])
    assert.deepEqual(
      await openObjectList(log, 'list').append(keys.map(ref)),
      keys.map((_, i) => i + 1),
    )
    const read = await openObjectList(log, 'list').read(30, 5)
    assert.deepEqual([read.listed.map(({ object }) => object.key), read.next], [keys.slice(29, 34), 35])
  })

  test('what an appender put and did not claim, the reader claims for it: whoever appends it later gets that slot', async () => {
    const { log } = await openEmbedded()
    const dying = {
      ...log,
      putIfAbsent: (name: string, ...rest: [number, Uint8Array]) =>
        name.includes('/seen/') ? Promise.reject(new Killed()) : log.putIfAbsent(name, ...rest),
    }
    for (let i = 0; i < 2; i++) await assert.rejects(openObjectList(dying, 'list').append([ref('a')]), Killed)
    const { listed, next } = await openObjectList(log, 'list').read(1, 10)
    assert.deepEqual([listed.map(({ slot }) => slot), next], [[1], 3])
    assert.deepEqual(await openObjectList(log, 'list').append([ref('a'), ref('b'), ref('a')]), [1, 3, 1])
  })

  test('a missing slot is an error and no end', async () => {
    const { log } = await openEmbedded()
    await openObjectList(log, 'list').append([ref('a')])
    await assert.rejects(openObjectList(log, 'list').read(2, 10), /slot 2 of list is missing, though it was taken/)
  })
})

test("an embedded run takes the state of such a stack's checkpoint, and reads the rest of the lines from a file", async () => {
  const bucket = memoryBucket()
  const world = await embeddedWorld(visits(), [], 2, { kind: 's3', subtasks: 1 }, bucket)
  const handler = stageHandler(environment(world, world.topology.stages[0]!.stage.id))
  const queue = objectQueue(world, () => handler, context)
  queue.send(bucket.put('a', text(all.slice(0, 50))))
  const mappings = [queue, ...deploy(world, world.topology)]
  await drain(mappings)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  const before = await world.rows('pages')
  const dir = mkdtempSync(join(tmpdir(), 'millrace-from-stack-'))
  writeFileSync(join(dir, 'rest'), text(all.slice(50)))
  const summary = await runEmbedded(visits().graph(), {
    parallelism: 2,
    state: join(dir, 'state'),
    from: { store: { name: 'the stack Test', open: async () => ({ ...world.ports, close: async () => {} }) } },
    sources: { visits: fileSource([join(dir, 'rest')]) },
    sinks: { pages: fileSink(join(dir, 'pages')), rejected: fileSink(join(dir, 'rejected')) },
  })
  assert.equal(summary.outcome, 'finished')
  const after = sortedLines(join(dir, 'pages')).map(line => JSON.parse(line))
  assert.deepEqual(sorted([...before, ...after]), (await expected(visits(), [all], 2)).pages)
})
