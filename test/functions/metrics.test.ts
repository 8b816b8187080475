import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { openEnvironment } from '../../runtime/aws/functions/environment.ts'
import { materialiseHandler } from '../../runtime/aws/functions/materialise.ts'
import { openRecorder } from '../../runtime/aws/functions/metrics.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { help } from '../../runtime/protocol/help.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { generate, visits } from './visits.ts'
import { context, deploy, drain, environment, eventOf, type Handler, mapping, shardId } from './world.ts'

type Told = Record<string, any>

/** An environment whose lines are heard. */
function listening(world: EmbeddedWorld, stage: string | undefined, lines: Told[]) {
  const recorder = openRecorder('test', stage, line => lines.push(JSON.parse(line)))
  return openEnvironment(world.app, { ...world.settings, stage }, world.back, recorder)
}

const sum = (lines: readonly Told[], name: string) =>
  lines.flatMap(line => line[name] ?? []).reduce((total: number, value: number) => total + value, 0)

async function heads(world: EmbeddedWorld, stage: number) {
  const { parallelism } = world.topology.stages[stage]!
  const logs = Array.from({ length: parallelism }, (_, shard) => world.topology.log(stage, shard))
  return Promise.all(logs.map(async log => (await loadHead(world.ports.log, log, Number.POSITIVE_INFINITY)).head))
}

async function batch(world: EmbeddedWorld, stream: string, limit: number) {
  return eventOf(await world.poll(stream, 0, undefined, limit), shardId(0))
}

describe('metrics of stages', () => {
  test('an invocation is one line, by pipeline and stage, in the embedded metric format', async () => {
    const world = await embeddedWorld(visits(), generate(100, 1), 1)
    const lines: Told[] = []
    const { stage } = world.topology.stages[0]!
    await stageHandler(listening(world, stage.id, lines))(await batch(world, 'users-own', 40), context())
    assert.equal(lines.length, 1)
    const [line] = lines as [Told]
    const [{ Namespace, Dimensions, Metrics }] = line._aws.CloudWatchMetrics
    assert.deepEqual([Namespace, Dimensions, line.service, line.stage], ['Millrace', [['service', 'stage']], 'test', stage.id])
    assert.deepEqual(Metrics.map((m: { Name: string; Unit: string }) => `${m.Name} ${m.Unit}`).sort(), [
      'CommitDuration Milliseconds',
      'RecordsIn Count',
      'RecordsOut Count',
      'WatermarkLag Milliseconds',
    ])
    const [head] = await heads(world, 0)
    assert.equal(line.RecordsIn, 40)
    assert.equal(line.RecordsOut, head!.fields.counts.recordsOut)
    const lag = Date.now() - head!.fields.watermark
    assert.ok(Math.abs(line.WatermarkLag - lag) < 5_000, `${line.WatermarkLag} of ${lag}`)
    assert.ok(Buffer.byteLength(JSON.stringify(line)) < 800)
  })

  test('what all invocations tell adds up to what the logs hold, whatever is delivered again', async () => {
    const input = generate(300, 2)
    input[0]!.splice(7, 0, 'no JSON')
    const world = await embeddedWorld(visits(), input, 2)
    const byStage = world.topology.stages.map(({ stage, parallelism }) => {
      const lines: Told[] = []
      const stream = stage.source === undefined ? world.topology.stream(stage.index) : 'users-own'
      const [one, other] = [0, 1].map(() => stageHandler(listening(world, stage.id, lines))) as [Handler, Handler]
      const twice: Handler = async (event, at) => (await Promise.all([one(event, at), other(event, at)]))[0]
      return { lines, mappings: Array.from({ length: parallelism }, (_, shard) => mapping(world, stream, shard, twice)) }
    })
    await drain(byStage.flatMap(({ mappings }) => mappings))
    for (const [i, { lines }] of byStage.entries()) {
      const counts = (await heads(world, i)).map(({ fields }) => fields.counts)
      const total = (name: keyof (typeof counts)[0]) => counts.reduce((n, of) => n + of[name], 0)
      assert.ok(total('recordsIn') > 0)
      assert.equal(sum(lines, 'RecordsIn'), total('recordsIn'))
      assert.equal(sum(lines, 'RecordsOut'), total('recordsOut') + total('results'))
      assert.equal(sum(lines, 'LateRecords'), total('late'))
      assert.equal(sum(lines, 'DeadLetters'), total('deadLetters'))
      assert.equal(lines.flatMap(line => line.CommitDuration ?? []).length, total('commits'))
      // Of each pair one loses its race, or comes when all is done.
      assert.ok(sum(lines, 'LostRaces') + sum(lines, 'Replays') > 0)
    }
    assert.equal(sum(byStage[0]!.lines, 'DeadLetters'), 1)
    assert.equal(sum(byStage[0]!.lines, 'StateBytes'), 0)
    assert.ok(sum(byStage[1]!.lines, 'StateBytes') > 0)
  })

  test('records that were committed before are replays, of a source and of frames; nothing else is told of them', async () => {
    const world = await embeddedWorld(visits(), generate(100, 1), 1)
    for (const [index, stream] of ['users-own', world.topology.stream(1)].entries()) {
      const lines: Told[] = []
      const { stage } = world.topology.stages[index]!
      const event = await batch(world, stream, 50)
      assert.deepEqual(await stageHandler(environment(world, stage.id))(event, context()), { batchItemFailures: [] })
      await stageHandler(listening(world, stage.id, lines))(event, context())
      assert.equal(lines.length, 1)
      assert.equal(lines[0]!.Replays, event.Records.length)
      assert.equal(lines[0]!.RecordsIn, undefined)
    }
  })

  test('aborts that are written for dead producers are told', async () => {
    const world = await embeddedWorld(visits(), generate(100, 1), 1)
    const [source, keyed] = world.topology.stages
    const lines: Told[] = []
    // Dies between sending and committing.
    const dying = openEnvironment(world.app, { ...world.settings, stage: source!.stage.id }, deadline => {
      const backing = world.back(deadline)
      const putIfAbsent = async () => {
        throw new Error('killed')
      }
      return { ...backing, ports: { ...world.ports, log: { ...world.ports.log, putIfAbsent } } }
    })
    await assert.rejects(stageHandler(dying)(await batch(world, 'users-own', 50), context()), /killed/)
    const event = await batch(world, world.topology.stream(1), 50)
    // As Kinesis has it, an hour later.
    const old = event.Records.map(r => ({
      ...r,
      kinesis: { ...r.kinesis, approximateArrivalTimestamp: Date.now() / 1000 - 3600 },
    }))
    const answer = await stageHandler(listening(world, keyed!.stage.id, lines))({ Records: old }, context())
    assert.deepEqual(answer, { batchItemFailures: [] })
    assert.equal(sum(lines, 'Aborts'), 1)
    assert.equal(await help(world.ports.log, world.ports.random, world.topology.log(0, 0), 1), 0, 'it is decided')
  })

  test('functions that are not to tell anything write nothing', async t => {
    const world = await embeddedWorld(visits(), generate(100, 1), 1)
    const written: string[] = []
    const write = process.stdout.write.bind(process.stdout)
    // The test runner writes there too.
    t.mock.method(process.stdout, 'write', (line: string | Uint8Array) =>
      typeof line === 'string' && line.includes('_aws') ? written.push(line) > 0 : write(line),
    )
    const { id } = world.topology.stages[0]!.stage
    const event = await batch(world, 'users-own', 50)
    await stageHandler(environment(world, id))(event, context())
    assert.deepEqual(written, [])
    const telling = openEnvironment(world.app, { ...world.settings, stage: id, metrics: true }, world.back)
    await stageHandler(telling)(event, context())
    assert.equal(written.length, 1)
    assert.match(written[0]!, /^\{"_aws".*"Replays":50\}\n$/)
  })
})

describe('metrics of checkpoints', () => {
  test('one that is complete tells how long it took and what it wrote, once; one that failed that it did', async () => {
    const world = await embeddedWorld(visits(), generate(100, 1), 1)
    const lines: Told[] = []
    const controller = checkpointHandler(listening(world, undefined, lines))
    const mappings = deploy(world, world.topology)
    await drain(mappings)
    const start = (await controller({ step: 'start' }, context())) as StartedCheckpoint
    for (const { stage, shards } of start.sources)
      await cutHandler(environment(world, stage))({ shards, checkpoint: start.checkpoint }, context())
    await drain(mappings)
    const { parts } = (await controller({ step: 'collect', start }, context())) as any
    const materialise = materialiseHandler(environment(world))
    const materialised = await Promise.all(parts.map((part: any) => materialise({ start, part }, context())))
    assert.equal(lines.length, 0)
    for (let i = 0; i < 2; i++) await controller({ step: 'complete', start, materialised }, context())
    assert.equal(lines.length, 1)
    const [line] = lines as [Told]
    assert.deepEqual(line._aws.CloudWatchMetrics[0].Dimensions, [['service']])
    assert.ok(line.CheckpointDuration >= 0 && line.CheckpointBytes > 0)
    const next = { ...start, checkpoint: 2 }
    await controller({ step: 'fail', start: next, missing: ['x/0'] }, context())
    assert.deepEqual([lines.length, lines[1]!.CheckpointsFailed], [2, 1])
  })
})
