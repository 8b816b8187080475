import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import test from 'node:test'
import { backfillDefinition } from '../../infra/backfill-definition.ts'
import { type BackfillBacking, type BackfillPlan, backfillHandler } from '../../runtime/aws/functions/backfill.ts'
import type { Backing } from '../../runtime/aws/functions/environment.ts'
import { objectFiles } from '../../runtime/aws/object-files.ts'
import { inputOf } from '../../runtime/batch/input.ts'
import type { InputFiles } from '../../runtime/batch/input-files.ts'
import type { Job } from '../../runtime/batch/job.ts'
import { runBounded } from '../../runtime/batch/run.ts'
import { jsonBytes } from '../../runtime/batch/stored/json-blob.ts'
import { attemptsOf, jobOf, waveOf } from '../../runtime/batch/stored/names.ts'
import { estimate } from '../../runtime/cli/stack/backfill/estimate.ts'
import { follow } from '../../runtime/cli/stack/backfill/followed.ts'
import { wavesOf } from '../../runtime/cli/stack/backfill/waves.ts'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import { within } from '../../runtime/connectors/within.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { app, fourHours, HOUR, linesOf, SINKS } from '../batch/archive.ts'
import { write } from '../batch/both.ts'
import { withPerfectWatermarks } from '../batch/perfect.ts'
import { START, scratch, sortedLines } from '../engine/events.ts'
import { runMachine, TaskError } from '../infra/states.ts'
import { expected, sorted } from './embedded-run.ts'
import { visibleRows } from './embedded-world.ts'
import { joinSources, restoreStack, stackWorld } from './restored.ts'
import { handover, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment, shardId } from './world.ts'

/** An archive in S3: two objects, of which one is large enough to be read in parallel. */
function archive(lines: readonly string[]) {
  const objects = new Map([
    ['in/a.ndjson', Buffer.from(lines.slice(0, 1000).join('\n'))],
    ['in/b.ndjson', Buffer.from(lines.slice(1000).join('\n'))],
  ])
  const etagOf = (body: Buffer) => createHash('md5').update(body).digest('hex')
  const read: Backing['objects']['read'] = async ({ bucket, key, etag }, from, to) => {
    const body = objects.get(key)!
    assert.deepEqual([bucket, etag], ['archive', etagOf(body)])
    return body.subarray(from, to)
  }
  const input: InputFiles = {
    list: async () =>
      [...objects].map(([key, body]) => ({ path: `s3://archive/${key}`, object: { etag: etagOf(body), size: body.length } })),
    ...objectFiles({ read }),
  }
  return { read, input }
}

/** A stack of the pipeline, whose stage functions run a backfill as the state machine calls them. */
async function deployed(lines: readonly string[], options: { parallelism: number }) {
  const { read, input } = archive(lines)
  const ports = await openEmbedded()
  const back = (): BackfillBacking => ({
    ports,
    sourceStreams: async () => ({
      listShards: async () => [0, 1].map(i => ({ id: shardId(i), parents: [], closed: false })),
      isReadToEnd: async () => false,
      read: () => Promise.reject(new Error('a backfill reads no stream')),
    }),
    objects: { read },
    sinks: Object.fromEntries(SINKS.map(name => [name, blobSink(ports.blobs, `results/${name}`, name)])),
  })
  const sinks = Object.fromEntries(SINKS.map(name => [name, { kind: 's3', bucket: 'results', prefix: '' }] as const))
  const settings = {
    prefix: 'test',
    tables: { log: 'log', state: 'state' },
    bucket: 'bucket',
    options,
    sources: { events: { kind: 'kinesis', stream: 'events' } as const },
    sinks,
    timeoutMs: undefined,
    stage: undefined,
  }
  const graph = app()
  /** An environment of any stage's function, cold. */
  const handler = () => backfillHandler({ graph: () => graph } as never, settings, back)
  const plan = (await handler()({ step: 'plan' }, context())) as BackfillPlan
  return { ports, handler, plan, input, source: 'events' }
}

type Deployed = Awaited<ReturnType<typeof deployed>>

async function begin({ ports, plan, input, source }: Deployed, range: { until?: number }, savepoint?: string) {
  const { parallelism, parallelismOf } = plan
  const read = await inputOf([source], { sources: { [source]: ['s3://archive/in'] }, pieceBytes: 100_000, input, ...range })
  const rest = { parallelism, parallelismOf, ...read, since: undefined, ...range, thenLive: savepoint !== undefined }
  const job = JSON.parse(JSON.stringify({ run: 'r1', ...rest })) as Job
  const waves = wavesOf(plan, 'r1', { [source]: job.pieces[source]!.length }, savepoint)
  for (const [i, tasks] of waves.entries()) await ports.blobs.put(waveOf('r1', i), jsonBytes(tasks))
  await ports.blobs.put(jobOf('r1'), jsonBytes(job))
  return { job, waves: waves.length }
}

/** The state machine, to its end. `before`: what else happens to a call. */
function execute({ ports, handler, plan }: Deployed, waves: number, before: (call: number) => Promise<void> | void = () => {}) {
  let calls = 0
  const functions = Object.fromEntries(plan.stages.map(({ id }) => [id, id]))
  return runMachine(backfillDefinition({ bucket: 'bucket', functions }), {
    id: 'machine',
    execution: { id: 'execution', input: { run: 'r1', waves, concurrency: 8 } },
    clock: { now: 0 },
    async task(resource, { Key, FunctionName, Payload }) {
      if (resource.endsWith('getObject')) return JSON.parse(Buffer.from((await ports.blobs.get(Key))!).toString())
      assert.equal(FunctionName, Payload.stage)
      await before(++calls)
      try {
        return { Payload: await handler()(Payload, context()) }
      } catch (error) {
        throw new TaskError((error as Error).name, (error as Error).message)
      }
    },
  })
}

const rowsOf = async ({ ports }: Deployed, name: string) =>
  (await visibleRows(ports.blobs, `results/${name}/`)).map(row => JSON.stringify(row)).sort()

test('the command, the state machine and the functions together give what an embedded backfill gives', async t => {
  const dir = scratch(t)
  const lines = linesOf(fourHours().slice(0, 4000))
  const sinks = Object.fromEntries(SINKS.map(name => [name, fileSink(join(dir, name))]))
  const sources = { events: [write(join(dir, 'in'), lines)] }
  const embedded = await runBounded(app(), { sources, sinks, parallelism: 2 })

  const world = await deployed(lines, { parallelism: 2 })
  const { job, waves } = await begin(world, {})
  assert.ok(job.pieces.events!.length > 3, 'the large one is read in parallel')
  const { total, tasks, bytes } = estimate(world.plan, job, {}, 8)
  assert.ok(total > 0 && tasks > 8 && bytes > 100_000)
  const followed = follow(world.ports.blobs, world.plan, job)
  let seen = 0
  const ended = await execute(world, waves, async call => {
    // A function dies now and then, and is called again.
    if (call % 4 === 0) throw new TaskError('Sandbox.Timedout')
    await followed.look()
    const { done, tasks } = followed.progress(Date.now())[0]!
    assert.ok(done >= seen && done <= tasks)
    seen = done
  })
  assert.equal(ended.status, 'SUCCEEDED', ended.cause)
  for (const name of SINKS) assert.deepEqual(await rowsOf(world, name), sortedLines(join(dir, name)), name)
  await followed.look()
  const { elapsedMs, run, stages, ...summary } = followed.summary('finished', false, 0)
  const { elapsedMs: _, run: __, stages: ___, ...wanted } = embedded
  assert.deepEqual(summary, wanted)
  assert.deepEqual(await world.ports.blobs.list(attemptsOf('r1')), [])
  assert.ok(followed.progress(Date.now()).every(stage => stage.fraction === 1))
})

test('what can not be done is on record, and is gone on with when it can', async () => {
  const lines = linesOf(fourHours().slice(0, 2000))
  const world = await deployed(lines, { parallelism: 1 })
  const { job, waves } = await begin(world, {})
  const broken = { ...world, handler: () => failing }
  const failing = backfillHandler({ graph: () => ({ ...app(), name: 'visits' }) } as never, SETTINGS_WITHOUT, () => ({
    ...NOTHING,
    ports: world.ports,
  }))
  assert.equal((await execute(broken as Deployed, waves)).status, 'FAILED')
  const followed = follow(world.ports.blobs, world.plan, job)
  assert.match(
    (await followed.failure())!,
    /^subtask \d of stage source-events: ConnectorError: s3:\/\/archive\/in\/.* no such bucket/,
  )
  assert.equal((await execute(world, waves)).status, 'SUCCEEDED')
})

const SETTINGS_WITHOUT = {
  prefix: 'test',
  tables: { log: 'log', state: 'state' },
  bucket: 'bucket',
  options: { parallelism: 1 },
  sources: {},
  sinks: {},
  timeoutMs: undefined,
  stage: undefined,
}
const NOTHING = {
  sourceStreams: () => Promise.reject(new Error('nobody asks')),
  sinks: {},
  objects: { read: () => Promise.reject(new Error('no such bucket')) },
}

// A window, session or timer that the handover cuts through needs its state from the archive; a split that is not among the stream's would begin with nothing.
test('then live: the savepoint has the splits of the stack, and its stream goes on where the archive ends', async t => {
  const dir = scratch(t)
  const events = fourHours()
  const until = START + 2.25 * HOUR + 1000
  const all = Object.fromEntries(SINKS.map(name => [name, fileSink(join(dir, 'all', name))]))
  const whole = fileSource([write(join(dir, 'whole'), linesOf(events))])
  await runEmbedded(withPerfectWatermarks(app(), 'events', linesOf(events)), {
    sources: { events: whole },
    sinks: all,
    parallelism: 2,
  })

  const world = await deployed(linesOf(events.filter(e => e.at < START + 2.5 * HOUR)), { parallelism: 2 })
  const { waves } = await begin(world, { until }, 'savepoints/past')
  const ended = await execute(world, waves)
  assert.equal(ended.status, 'SUCCEEDED', ended.cause)

  const blobs = within(world.ports.blobs, 'savepoints/past/')
  const from = { savepoint: { name: 'past', open: async () => ({ blobs, close: async () => {} }) } }
  const taken = events.filter(e => e.at >= START + 1.5 * HOUR)
  const behind = Object.fromEntries(SINKS.map(name => [name, fileSink(join(dir, 'behind', name))]))
  // A file for each of the stack's two shards; all is in one, so that of two records with one id it is the same that counts.
  const halves = [linesOf(taken), []].map((lines, i) => write(join(dir, `${i}`), lines))
  const perfect = withPerfectWatermarks(app(), 'events', linesOf(events.filter(e => e.at >= until)))
  await runEmbedded(perfect, { sources: { events: fileSource(halves) }, sinks: behind, parallelism: 2, from })
  // Not the totals: what a timer sees of the records around it depends on how far the other split is.
  for (const name of ['top', 'sessions']) {
    const before = await rowsOf(world, name)
    const after = sortedLines(join(dir, 'behind', name))
    assert.ok(before.length > 10 && after.length > 10, name)
    assert.deepEqual([...before, ...after].sort(), sortedLines(join(dir, 'all', name)), name)
  }
})

// What lies in both, and is not passed over, would count twice; what was not kept would be missing from the windows that the handover cuts through, and from the counts of users.
test('then live on the stack itself: its streams overlap with the archive by an hour, and the results are those of all, each visit counted once', async () => {
  const { whole, archive: archived, stream, until } = handover()
  const world = await stackWorld(stream)
  const { read, input } = archive(archived)
  const backing = world.back(() => undefined)
  const sink = { kind: 's3', bucket: 'results', prefix: '' } as const
  const settings = { ...world.settings, sinks: { pages: sink, rejected: sink }, stage: undefined }
  const back = (): BackfillBacking => ({ ...backing, objects: { read }, sourceStreams: async () => backing.sourceStreams })
  const handler = () => backfillHandler(visits(), settings, back)
  const plan = (await handler()({ step: 'plan' }, context())) as BackfillPlan
  const deployed: Deployed = { ports: world.ports as Deployed['ports'], handler, plan, input, source: 'visits' }
  const { waves } = await begin(deployed, { until }, 'savepoints/past')
  const ended = await execute(deployed, waves)
  assert.equal(ended.status, 'SUCCEEDED', ended.cause)
  const before = (await world.rows('pages')).length

  await restoreStack(world, { savepoint: 'savepoints/past/', name: 'past' }, { newInput: true, replace: true })
  const { topology } = await environment(world).run()
  await joinSources(world, topology)
  const mappings = deploy(world, topology)
  await drain(mappings)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  const rows = await world.rows('pages')
  assert.ok(before > 1000 && rows.length > before + 1000, `${before} of ${rows.length}`)
  assert.deepEqual(sorted(rows), (await expected(visits(), whole, 2)).pages)
})
