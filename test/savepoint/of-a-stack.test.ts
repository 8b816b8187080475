import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { materialiseHandler } from '../../runtime/aws/functions/materialise.ts'
import { listManifests } from '../../runtime/checkpoint/manifest.ts'
import { takeSavepoint } from '../../runtime/cli/savepoint/take.ts'
import type { Taken } from '../../runtime/cli/stack/take-checkpoint.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { directoryBlobs } from '../../runtime/savepoint/directory.ts'
import { readSavepoint, type SavepointManifest } from '../../runtime/savepoint/format.ts'
import { METADATA } from '../../runtime/savepoint/names.ts'
import { verifySavepoint } from '../../runtime/savepoint/verify.ts'
import { sortedLines } from '../engine/events.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { embeddedWorld } from '../functions/embedded-world.ts'
import { generate, visits } from '../functions/visits.ts'
import { checkpoint, context, deploy, drain, environment } from '../functions/world.ts'

const input = generate(400, 2)
const whole = await expected(visits(), input, 2)

async function open() {
  const world = await embeddedWorld(visits(), input, 2)
  const mappings = deploy(world, world.topology)
  const directory = mkdtempSync(join(tmpdir(), 'millrace-savepoint-'))
  const { run } = world.topology
  let last = 0
  // What flows already goes on while a checkpoint is taken, and nothing new comes.
  const [sources, behind] = [mappings.slice(0, 2), mappings.slice(2)]
  const flow = async () => {
    for (const m of sources) await m.step(20)
    await drain(behind)
  }
  const complete = async (): Promise<Taken> => {
    const { outcome } = await checkpoint(world, behind)
    if (outcome === 'complete') return { outcome, checkpoint: ++last }
    return { outcome: 'nothing' }
  }
  /** One whose second source is cut after the stages have taken the first one's barrier, and more of the second one's records. */
  const withChannelState = async (): Promise<Taken> => {
    const controller = checkpointHandler(environment(world))
    const start = (await controller({ step: 'start' }, context())) as StartedCheckpoint
    const [{ stage, shards }] = start.sources as [StartedCheckpoint['sources'][0]]
    for (const shard of shards) {
      await cutHandler(environment(world, stage))({ shards: [shard], checkpoint: start.checkpoint }, context())
      await drain(behind)
      if (shard === 0) await sources[1]!.step(20)
      await drain(behind)
    }
    const { parts } = (await controller({ step: 'collect', start }, context())) as any
    const materialise = materialiseHandler(environment(world))
    const materialised = await Promise.all(parts.map((part: any) => materialise({ start, part }, context())))
    const { outcome } = (await controller({ step: 'complete', start, materialised }, context())) as any
    return { outcome, checkpoint: ++last }
  }
  const place = (at: string) => ({ name: at, open: async () => ({ blobs: directoryBlobs(at), close: async () => {} }) })
  const take = (name: string, before = async () => {}, by = complete) =>
    takeSavepoint(world.ports, { run } as any, { kind: 'stack', name: 'Test' }, by, async () => {
      await before()
      return place(join(directory, name))
    })
  return { world, mappings, directory, flow, complete, withChannelState, place, take }
}

/** The rest of the input behind a savepoint, as files. */
function restOf({ subtasks }: SavepointManifest, directory: string): string[] {
  const taken = subtasks.filter(s => s.stage === 0).map(s => s.head.counts.recordsIn)
  return input.map((records, i) => {
    const path = join(directory, `rest-${i}.ndjson`)
    writeFileSync(
      path,
      records
        .slice(taken[i])
        .map(r => `${r}\n`)
        .join(''),
    )
    return path
  })
}

describe('a savepoint of a pipeline that goes on', () => {
  test('when all else is gone, an embedded run goes on from it, and ends as if nothing had happened', async () => {
    const { world, directory, flow, complete, withChannelState, take, place } = await open()
    for (let i = 0; i < 3; i++) {
      await flow()
      assert.equal((await complete()).outcome, 'complete')
    }
    await flow()
    const taken = await take('one', undefined, withChannelState)
    assert.ok(taken.outcome === 'complete' && taken.manifest.files.some(f => f.name.startsWith('channels/')))
    const before = await world.rows('pages')
    for (const key of await world.ports.blobs.list('')) await world.ports.blobs.delete(key)
    const manifest = await readSavepoint(directoryBlobs(join(directory, 'one')), 'one')
    assert.ok(
      manifest.subtasks.every(s => s.runs!.length <= 1),
      'one sorted run',
    )
    const files = restOf(manifest, directory)
    const run = () =>
      runEmbedded(visits().graph(), {
        parallelism: 2,
        state: join(directory, 'state'),
        from: { savepoint: place(join(directory, 'one')) },
        sources: { visits: fileSource(files) },
        sinks: { pages: fileSink(join(directory, 'pages')), rejected: fileSink(join(directory, 'rejected')) },
      })
    assert.equal((await run()).outcome, 'finished')
    const after = sortedLines(join(directory, 'pages')).map(line => JSON.parse(line))
    assert.deepEqual(sorted([...before, ...after]), whole.pages)
    // The same again goes on with that run, which is through.
    assert.equal((await run()).nothingToRead, true)
  })

  test('checkpoints that come and go while it is copied leave it what it is of: retention waits, and no longer than that', async () => {
    const { world, mappings, directory, flow, complete, take } = await open()
    await flow()
    await complete()
    await flow()
    const { run } = world.topology
    const manifests = () => listManifests(world.ports.blobs, run)
    const taken = await take('held', async () => {
      for (let i = 0; i < 6; i++) {
        await flow()
        assert.equal((await complete()).outcome, 'complete')
      }
      assert.deepEqual(await manifests(), [1, 2, 3, 4, 5, 6, 7, 8])
    })
    assert.equal(taken.outcome === 'complete' && taken.manifest.checkpoint, 2)
    assert.deepEqual((await verifySavepoint(directoryBlobs(join(directory, 'held')), 'held')).damages, [])
    assert.deepEqual(await world.ports.blobs.list('holds/'), [])
    await flow()
    await complete()
    assert.deepEqual(await manifests(), [7, 8, 9])
    await drain(mappings)
    await complete()
    assert.deepEqual(sorted(await world.rows('pages')), whole.pages)
  })

  test('when nothing flowed it is of the last checkpoint; before the first there is none', async () => {
    const { world, directory, flow, complete, take } = await open()
    assert.deepEqual(await take('none'), { outcome: 'nothing' })
    await flow()
    await complete()
    const taken = await take('last')
    assert.equal(taken.outcome === 'complete' && taken.manifest.checkpoint, 1)
    assert.deepEqual((await verifySavepoint(directoryBlobs(join(directory, 'last')), 'last')).damages, [])
    assert.deepEqual(await world.ports.blobs.list('holds/'), [])
  })

  test('a checkpoint that fails is no savepoint, and leaves no hold', async () => {
    const { world } = await open()
    const never = () => assert.fail('nothing is to be written')
    const taken = await takeSavepoint(
      world.ports,
      { run: world.topology.run } as any,
      { kind: 'stack', name: 'Test' },
      async () => ({ outcome: 'failed', reason: 'no ack' }),
      never,
    )
    assert.deepEqual(taken, { outcome: 'failed', reason: 'no ack' })
    assert.deepEqual(await world.ports.blobs.list('holds/'), [])
  })

  test('the hold of a process that has died ends after a day', async () => {
    const { world, flow, complete } = await open()
    const { run } = world.topology
    const now = world.ports.clock.now()
    await world.ports.blobs.put(`holds/${run}/1-${now - 25 * 3_600_000}-dead`, new Uint8Array())
    await world.ports.blobs.put(`holds/${run}/3-${now}-alive`, new Uint8Array())
    for (let i = 0; i < 7; i++) {
      await flow()
      await complete()
    }
    assert.deepEqual(await listManifests(world.ports.blobs, run), [3, 4, 5, 6, 7])
    assert.deepEqual(await world.ports.blobs.list('holds/'), [`holds/${run}/3-${now}-alive`])
  })

  test('a part of the checkpoint that is gone is named, and nothing of the savepoint stays', async () => {
    const { world, directory, flow, complete, take } = await open()
    await flow()
    await complete()
    const taken = take('gone', async () => {
      const segments = await world.ports.blobs.list('segments/')
      await world.ports.blobs.delete(segments.at(-1)!)
    })
    await assert.rejects(taken, { name: 'SnapshotError', message: /^(segment|the changes) segments\/.* (is|are) gone/ })
    assert.deepEqual(await directoryBlobs(join(directory, 'gone')).list(''), [])
  })
})

describe('a damaged savepoint', async () => {
  const { directory, flow, take, withChannelState } = await open()
  await flow()
  const path = join(directory, 'whole')
  assert.equal((await take('whole', undefined, withChannelState)).outcome, 'complete')
  const manifest = await readSavepoint(directoryBlobs(path), path)
  const files = restOf(manifest, directory)
  const run = () =>
    runEmbedded(visits().graph(), {
      parallelism: 2,
      from: { savepoint: { name: path, open: async () => ({ blobs: directoryBlobs(path), close: async () => {} }) } },
      sources: { visits: fileSource(files) },
      sinks: { pages: fileSink(join(directory, 'p')), rejected: fileSink(join(directory, 'r')) },
    })
  /** Does something to a file, and puts it back. */
  async function damaged(name: string, change: (data: Buffer) => Buffer | undefined, check: () => Promise<void>) {
    const at = join(path, name)
    const data = readFileSync(at)
    const changed = change(Buffer.from(data))
    if (changed === undefined) rmSync(at)
    else writeFileSync(at, changed)
    await check().finally(() => writeFileSync(at, data))
  }
  const flip = (at: number) => (data: Buffer) => {
    data[at < 0 ? data.length + at : at]! ^= 1
    return data
  }
  const CHANGES = [
    [flip(-1), 'is damaged: it fails its checksum'],
    [flip(0), 'is damaged: it fails its checksum'],
    [(data: Buffer) => data.subarray(0, -1), /is damaged: it has \d+ of \d+ bytes/],
    [() => undefined, 'is missing'],
  ] as const

  test('is refused, and verified, with the name of the damaged part', async () => {
    for (const kind of ['segments/', 'channels/']) assert.ok(manifest.files.some(f => f.name.startsWith(kind)))
    for (const { name } of manifest.files)
      for (const [change, words] of CHANGES)
        await damaged(name, change, async () => {
          const { damages } = await verifySavepoint(directoryBlobs(path), path)
          assert.equal(damages.length, 1)
          assert.ok(damages[0]!.startsWith(`${name} `))
          assert.match(damages[0]!, typeof words === 'string' ? new RegExp(`${words}$`) : words)
          await assert.rejects(run(), (error: Error) => error.name === 'SnapshotError' && error.message.includes(name))
        })
  })

  test('is refused where its manifest is damaged, missing, or that of something else', async () => {
    const refused = (message: RegExp) => async () => {
      await assert.rejects(verifySavepoint(directoryBlobs(path), path), { name: 'SnapshotError', message })
      await assert.rejects(run(), { name: 'SnapshotError', message })
    }
    await damaged(METADATA, flip(-1), refused(/_metadata of .*whole is damaged: it fails its checksum$/))
    await damaged(METADATA, flip(4), refused(/has format 0; this Millrace reads format 1$/))
    await damaged(METADATA, () => Buffer.from('{}'), refused(/is no manifest$/))
    await damaged(METADATA, () => undefined, refused(/^there is no savepoint at .*whole: it has no _metadata$/))
  })

  test('whole again, it opens', async () => {
    const { damages, items } = await verifySavepoint(directoryBlobs(path), path)
    assert.deepEqual(damages, [])
    assert.ok(items > 0)
    assert.equal((await run()).outcome, 'finished')
  })
})
