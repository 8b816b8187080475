import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { LINE_BYTES_MAX } from '../../runtime/aws/functions/object-lines.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import type { ObjectRef } from '../../runtime/aws/objects.ts'
import { MillraceError } from '../../runtime/errors.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Clock } from '../../runtime/ports.ts'
import { faulty } from '../engine/harness.ts'
import { expected, sorted } from './embedded-run.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { bodyOf, keyFor, listOf, type MemoryBucket, memoryBucket, objectQueue, positionCommitted, queueEvent } from './objects.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment } from './world.ts'

const quiet = (t: TestContext) => {
  for (const level of ['warn', 'error'] as const) t.mock.method(console, level, () => {})
}
const lines = generate(400, 1)[0]!
const embedded = (await expected(visits(), [lines], 2)).pages
const text = (some: readonly string[]) => some.map(line => `${line}\n`).join('')

interface OpenOptions {
  readonly bucket?: MemoryBucket
  readonly app?: Pipeline
  readonly subtasks?: number
  /** Of the functions that read objects. */
  readonly clock?: Clock
  readonly remaining?: () => number
}

async function open({ bucket = memoryBucket(), app = visits(), subtasks = 1, clock, remaining }: OpenOptions = {}) {
  const world = await embeddedWorld(app, [], 2, { kind: 's3', subtasks }, bucket)
  const stage = world.topology.stages[0]!.stage.id
  const handler = (back = world.back) => stageHandler(environment(world, stage, back))
  const timed: typeof world.back = deadline => {
    const backing = world.back(deadline)
    return clock === undefined ? backing : { ...backing, ports: { ...backing.ports, clock } }
  }
  const warm = handler(timed)
  const time = remaining === undefined ? context : () => ({ getRemainingTimeInMillis: remaining })
  return { bucket, world, handler, queue: objectQueue(world, () => warm, time) }
}

type Opened = Awaited<ReturnType<typeof open>>

/** The end of a test: everything through, one checkpoint, and the results of an embedded run of the same lines. */
async function finish({ world, queue }: Pick<Opened, 'world' | 'queue'>, pages = embedded): Promise<void> {
  const mappings = [queue, ...deploy(world, world.topology)]
  await drain(mappings)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  assert.deepEqual(sorted(await world.rows('pages')), pages)
}

/** The lines in objects of `size` lines each. */
function put(bucket: MemoryBucket, size: number, pack = (_: number, content: string): string | Uint8Array => content) {
  const objects: ObjectRef[] = []
  for (let i = 0; i * size < lines.length; i++)
    objects.push(bucket.put(`day/${i}.ndjson`, pack(i, text(lines.slice(i * size, (i + 1) * size)))))
  return objects
}

describe('objects of S3', () => {
  test('plain, gzip, zstd, and empty ones, over several checkpoints: what an embedded run writes of the same lines', async () => {
    assert.ok(embedded.length > 20)
    const { bucket, world, queue } = await open()
    assert.deepEqual(world.topology.splits, { visits: ['objects-0'] })
    const objects = put(bucket, 25, (i, content) =>
      i % 4 === 1 ? gzipSync(content) : i % 4 === 2 ? zstdCompressSync(content) : i % 4 === 3 ? content.trimEnd() : content,
    )
    const empty = [
      bucket.put('empty', ''),
      bucket.put('blank', '\n\r\n'),
      bucket.put('empty.gz', gzipSync('')),
      bucket.put('bom', '\ufeff\n'),
    ]
    queue.send(empty[0]!, ...objects.slice(0, 7), ...empty.slice(1, 3))
    const mappings = [queue, ...deploy(world, world.topology)]
    for (const m of mappings) await m.step(4)
    assert.equal((await checkpoint(world, mappings.slice(1))).outcome, 'complete')
    queue.send(...objects.slice(7), empty[3]!)
    await drain(mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    assert.equal((await checkpoint(world, mappings)).outcome, 'nothing')
    assert.deepEqual(sorted(await world.rows('pages')), embedded)
    assert.deepEqual(await world.rows('rejected'), [])
    assert.equal((await positionCommitted(world)).slot, objects.length + empty.length + 1)
    // Alone: nothing is taken with it whose commit would be its own.
    queue.send(bucket.put('alone', '\n'))
    await queue.step()
    assert.equal(queue.length, 0)
    assert.equal((await checkpoint(world, mappings)).outcome, 'nothing')
  })

  test('three subtasks, each with its own objects', async () => {
    const splits = generate(400, 3)
    const { bucket, world, queue } = await open({ subtasks: 3 })
    const objects = splits.map((split, subtask) =>
      [0, 1, 2].map(i =>
        keyFor(bucket, `${subtask}/${i}`, text(split.slice(i * 50, i === 2 ? undefined : (i + 1) * 50)), subtask, 3),
      ),
    )
    for (let i = 0; i < 3; i++) for (let subtask = 0; subtask < 3; subtask++) queue.send(objects[subtask]![i]!)
    await finish({ world, queue }, (await expected(visits(), splits, 2)).pages)
  })

  test('each announced several times, in one batch and in many, warm and cold: read once (A7)', async () => {
    const { bucket, world, queue, handler } = await open()
    const objects = put(bucket, 40)
    queue.send(objects[0]!, objects[0]!, objects[1]!, objects[0]!)
    await queue.step()
    assert.equal((await positionCommitted(world)).slot, (await listOf(world, 0).append([objects[1]!]))[0]! + 1)
    for (const again of [handler(), handler()])
      assert.deepEqual(await again(queueEvent([bodyOf(objects[1]!), bodyOf(objects[0]!)]), context()), { batchItemFailures: [] })
    queue.send(...objects, ...objects, objects[3]!)
    await finish({ world, queue })
    const reads = bucket.reads
    queue.send(...objects)
    await queue.step(100)
    assert.equal(queue.length, 0)
    assert.equal(bucket.reads, reads)
  })

  test('announced to four environments at the same time: appenders and readers race, nothing is lost or doubled', async () => {
    const { bucket, world, queue, handler } = await open()
    const objects = put(bucket, 20)
    const environments = [handler(), handler(), handler(), handler()]
    for (let from = 0; from < objects.length; from += 5) {
      // Each in another order, so that different objects race for one slot.
      const batches = environments.map((_, i) => {
        const some = objects.slice(from, from + 5)
        return queueEvent([...some.slice(i), ...some.slice(0, i)].map(bodyOf))
      })
      const answers = await Promise.all(environments.map((one, i) => one(batches[i]!, context())))
      for (const answer of answers) assert.deepEqual(answer, { batchItemFailures: [] })
    }
    const all = await listOf(world, 0).read(1, 1000)
    assert.ok(all.next > objects.length + 1, 'some slots were taken twice for one object')
    assert.deepEqual(all.listed.map(({ object }) => object.key).sort(), objects.map(({ key }) => key).sort())
    const order = all.listed.map(({ object }) => lines.slice(20 * Number(object.key.match(/\d+/)![0])).slice(0, 20))
    await finish({ world, queue }, (await expected(visits(), [order.flat()], 2)).pages)
  })
})

describe('an object that is large', () => {
  /** About 12 MB, in three requests. */
  const many = generate(90_000, 1)[0]!
  const large = text(many.map(line => line.replace('}', `,"pad":"${'x'.repeat(60)}"}`)))

  for (const [format, pack] of Object.entries({ plain: (s: string) => s, gzip: (s: string) => gzipSync(s, { level: 1 }) }))
    test(`${format}: read in several commits and invocations, by ranges, each line once; its message stays until then`, async t => {
      quiet(t)
      let now = 1_700_000_000_000
      const clock: Clock = {
        now: () => now,
        sleep: (_, signal) => new Promise<void>(done => signal?.addEventListener('abort', () => done())),
      }
      let seen = 0
      const bucket = memoryBucket()
      // A second for 5,000 records; and there are eight in an invocation.
      const app = visits(() => {
        if (++seen % 5_000 === 0) now += 1_000
      })
      const { world, queue } = await open({ bucket, app, clock, remaining: () => 8_000 })
      const object = bucket.put('large', pack(large))
      queue.send(object)
      const positions: number[] = []
      while (queue.length > 0) {
        await queue.step()
        const { slot, line } = await positionCommitted(world)
        positions.push(slot === 1 ? line : many.length)
        assert.ok(positions.length < 20)
      }
      assert.ok(positions.length > 2, `${positions.length} invocations`)
      assert.deepEqual(
        positions,
        [...new Set(positions)].sort((a, b) => a - b),
        'each gets further',
      )
      assert.equal(seen, many.length, 'each line once: nothing was given up and read again')
      assert.ok(bucket.largest <= 4 << 20)
      await finish({ world, queue }, (await expected(visits(), [many], 2)).pages)
    })
})

class Killed extends Error {}

describe('functions that die', () => {
  /** One environment that dies at call `n` of a port or of S3, before or after it; then others, until all is through. */
  async function dyingAt(n: number, when: 'before' | 'after') {
    const { bucket, world, handler } = await open()
    const objects = put(bucket, 134)
    let dead = false
    const back: typeof world.back = deadline => {
      const backing = world.back(deadline)
      const die = (at: { n: number; when: string }) => {
        dead ||= at.n >= n && at.when === when
        if (dead) throw new Killed()
      }
      const both = faulty({ ...world.ports, blobs: backing.objects as never }, die)
      return { ...backing, ports: { ...faulty(world.ports, die), clock: world.ports.clock }, objects: both.blobs as never }
    }
    let current = handler(back)
    const queue = objectQueue(world, () => current, context)
    queue.send(objects[0]!, objects[1]!, objects[0]!)
    await queue.step()
    current = handler()
    const died = dead
    queue.send(objects[2]!)
    await finish({ world, queue })
    return died
  }

  test('before or after any call: what they appended is read all the same, and once', async t => {
    quiet(t)
    let n = 0
    for (let died = true; died; ) {
      n++
      for (const when of ['before', 'after'] as const) died = await dyingAt(n, when)
    }
    assert.ok(n > 15, `${n} calls`)
  })
})

describe('objects that can not be read as they were announced', () => {
  const third = Math.ceil(lines.length / 3)
  const parts = [0, 1, 2].map(i => text(lines.slice(i * third, (i + 1) * third)))
  const letters = async ({ ports }: EmbeddedWorld) => {
    const keys = await ports.blobs.list('dead-letters/')
    return Promise.all(keys.map(async key => ({ key, ...JSON.parse(new TextDecoder().decode(await ports.blobs.get(key))) })))
  }

  test('deleted, or overwritten in a bucket without versions: given up with the reason, and the others go on', async t => {
    quiet(t)
    const { bucket, world, queue } = await open()
    const deleted = bucket.put('deleted', parts[0]!)
    const overwritten = bucket.put('b', '{"not":"read"}\n')
    queue.send(bucket.put('a', parts[0]!), deleted, overwritten, bucket.put('b', parts[1]!), bucket.put('c', parts[2]!))
    bucket.delete('deleted')
    await finish({ world, queue })
    const found = await letters(world)
    assert.deepEqual(
      found.map(({ key, object, reason }) => [key, object, reason]),
      [
        [
          'dead-letters/visits/objects-0/000000000002-0000000000000-rest.json',
          's3://in/deleted',
          'it was deleted before it was read',
        ],
        [
          'dead-letters/visits/objects-0/000000000003-0000000000000-rest.json',
          's3://in/b',
          'it was overwritten before it was read, in a bucket without versions',
        ],
      ],
    )
    const rejected = (await world.rows('rejected')).map(({ reason, raw }) => [reason, JSON.parse(raw).etag])
    assert.deepEqual(rejected, [
      ['it was deleted before it was read', deleted.etag],
      ['it was overwritten before it was read, in a bucket without versions', overwritten.etag],
    ])
  })

  test('overwritten, and deleted, in a bucket with versions: each version is read', async () => {
    const bucket = memoryBucket({ versions: true })
    const { world, queue } = await open({ bucket })
    const versions = parts.map(part => bucket.put('same', part))
    bucket.delete('same')
    queue.send(...versions, versions[1]!)
    await finish({ world, queue })
    assert.deepEqual(await world.rows('rejected'), [])
  })

  test('damaged and cut gzip and zstd, a line without end: their good lines, and the rest in one letter that says from where', async t => {
    quiet(t)
    const { bucket, world, queue } = await open()
    const head = lines.slice(0, 300)
    const tail = lines.slice(300)
    const cutGzip = gzipSync(text(head)).subarray(0, -9)
    const badZstd = Buffer.concat([zstdCompressSync(text(tail)), Buffer.from('none')])
    const long = `{"long":"${'x'.repeat(LINE_BYTES_MAX)}"}\n`
    queue.send(
      bucket.put('cut.gz', cutGzip),
      bucket.put('again', text(head)),
      bucket.put('long', long),
      bucket.put('z.zst', badZstd),
    )
    const mappings = [queue, ...deploy(world, world.topology)]
    await drain(mappings)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
    const found = await letters(world)
    assert.deepEqual(
      found.map(({ object, reason }) => [object, reason]),
      [
        ['s3://in/cut.gz', 'its gzip was cut off (unexpected end of file)'],
        ['s3://in/long', 'it has a line of more than 16 MiB: is it NDJSON?'],
        ['s3://in/z.zst', 'its zstd is damaged (Unknown frame descriptor)'],
      ],
    )
    const [cut, , zstd] = found
    assert.equal(cut.byte, Buffer.byteLength(text(head.slice(0, cut.line))))
    assert.deepEqual([zstd.line, zstd.byte], [tail.length, Buffer.byteLength(text(tail))])
    const taken = [...head.slice(0, cut.line), ...head, ...tail]
    assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), [taken], 2)).pages)
  })

  test('bad lines: dead letters with reason, object and place; user code that throws: isolated; all others as if they had not been there', async t => {
    quiet(t)
    const poison = JSON.stringify({ id: 9_999, user: 'u1', page: 'poison', at: Number(JSON.parse(lines[50]!).at) })
    const app = visits(v => {
      if (v.page === 'poison') throw new RangeError('no such page')
    })
    const { bucket, world, queue } = await open({ app })
    const some = lines.slice(0, 100).toSpliced(50, 0, poison)
    const bad = ['{"id":', '[1]', '\ud800'.toWellFormed()]
    queue.send(bucket.put('a', text(some.toSpliced(10, 0, ...bad))), bucket.put('b', text(lines.slice(100))))
    await finish({ world, queue })
    const rejected = await world.rows('rejected')
    assert.deepEqual(rejected.map(r => r.raw).sort(), [...bad, poison].sort())
    assert.match(rejected.find(r => r.raw === poison).reason, /3 tries failed: .*no such page/)
    const [letter, ...others] = await letters(world)
    assert.deepEqual(others, [])
    const byte = Buffer.byteLength(text(some.toSpliced(10, 0, ...bad).slice(0, 54)))
    assert.deepEqual([letter.split, letter.object, letter.line, letter.byte], ['objects-0', 's3://in/a', 54, byte])
    assert.equal(letter.key, `dead-letters/visits/objects-0/000000000001-${String(byte).padStart(13, '0')}.json`)
  })

  test("messages that announce nothing are kept in the bucket with what they say, and don't come again", async t => {
    quiet(t)
    const { bucket, world, handler } = await open()
    const good = bucket.put('a', text(lines))
    const s3 = JSON.stringify({ Records: [{ eventName: 'ObjectCreated:Put', s3: {} }] })
    const bodies = ['no JSON', 'null', s3, bodyOf({ ...good, size: 1.5 }), bodyOf({ ...good, key: '' }), bodyOf(good)]
    assert.deepEqual(await handler()(queueEvent(bodies), context()), { batchItemFailures: [] })
    const found = await letters(world)
    assert.deepEqual(found.map(({ body }) => body).sort(), bodies.slice(0, -1).sort())
    for (const { key, reason } of found) {
      assert.match(key, /^dead-letters\/visits\/messages\/m\d+\.json$/)
      assert.match(reason, /^no notification of a new object: it (is not JSON: |is of undefined, |has to name detail)/)
    }
    assert.equal((await positionCommitted(world)).slot, 2)
  })

  test('a run that began with a stream refuses them by name', async () => {
    const world = await embeddedWorld(visits(), [[], []], 2)
    const handler = stageHandler(environment(world, world.topology.stages[0]!.stage.id))
    const object = memoryBucket().put('a', text(lines))
    await assert.rejects(
      handler(queueEvent([bodyOf(object)]), context()),
      /got objects of S3, but it reads shardId-000000000000, shardId-000000000001: its run began with that\. Deploy a stack of its own/,
    )
  })

  test('a subtask that fails does not hold the others up; what may pass later is reported, what not ends the invocation', async t => {
    quiet(t)
    const splits = generate(60, 2)
    const { bucket, world, handler } = await open({ subtasks: 2 })
    const objects = splits.map((split, i) => keyFor(bucket, `${i}`, text(split), i, 2))
    const { Records } = queueEvent(objects.map(bodyOf))
    for (const thrown of [Object.assign(new MillraceError('later'), { retryable: true }), new MillraceError('never')]) {
      const back: typeof world.back = deadline => {
        const { objects: all, ...backing } = world.back(deadline)
        const read: typeof all.read = (object, ...range) =>
          object.key === objects[0]!.key ? Promise.reject(thrown) : all.read(object, ...range)
        return { ...backing, objects: { read } }
      }
      const delivered = handler(back)({ Records }, context())
      if (thrown.retryable) assert.deepEqual(await delivered, { batchItemFailures: [{ itemIdentifier: Records[0]!.messageId }] })
      else await assert.rejects(delivered, /never/)
      assert.deepEqual([(await positionCommitted(world, 0)).slot, (await positionCommitted(world, 1)).slot], [1, 2])
    }
  })
})
