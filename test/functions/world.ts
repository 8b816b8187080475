import { checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { type Backing, type Environment, openEnvironment } from '../../runtime/aws/functions/environment.ts'
import type { BatchResponse, KinesisEvent } from '../../runtime/aws/functions/event.ts'
import { materialiseHandler } from '../../runtime/aws/functions/materialise.ts'
import type { Settings } from '../../runtime/aws/functions/settings.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { StreamRecord } from '../../runtime/ports.ts'
import type { Topology } from '../../runtime/stage/topology.ts'

export type Handler = (event: KinesisEvent, context: { getRemainingTimeInMillis(): number }) => Promise<BatchResponse>

/** What stands for Lambda: functions, each with environments of its own, and mappings that poll and deliver. */
export interface World {
  readonly app: Pipeline
  readonly settings: Omit<Settings, 'stage'>
  readonly back: (deadline: () => number | undefined) => Backing
  /** Records of a stage's stream, or a source's, behind a position of that stream. */
  poll(stream: string, shard: number, after: string | undefined, limit: number): Promise<StreamRecord[]>
}

export function context(ms = 60_000) {
  const end = Date.now() + ms
  return { getRemainingTimeInMillis: () => end - Date.now() }
}

/** A new environment of a function of `stage`, cold. */
export function environment(world: World, stage?: string, back = world.back): Environment {
  return openEnvironment(world.app, { ...world.settings, stage }, back)
}

/** The event that Lambda makes of records. */
export function eventOf(records: readonly StreamRecord[], shardId: string): KinesisEvent {
  return {
    Records: records.map(({ seq, data, arrivedAt }) => {
      const sequenceNumber = seq.replace(/^0+(?=\d)/, '')
      return {
        eventID: `${shardId}:${sequenceNumber}`,
        kinesis: {
          sequenceNumber,
          data: Buffer.from(data).toString('base64'),
          approximateArrivalTimestamp: arrivedAt / 1000,
        },
      }
    }),
  }
}

export const shardId = (shard: number) => `shardId-${String(shard).padStart(12, '0')}`

/** Polls one shard for one function, as an event source mapping does: from where the function says. */
export function mapping(world: World, stream: string, shard: number, handler: Handler) {
  let after: string | undefined
  return {
    /** One batch. False: there was nothing. */
    async step(limit = 50): Promise<boolean> {
      const records = await world.poll(stream, shard, after, limit)
      if (records.length === 0) return false
      const { batchItemFailures } = await handler(eventOf(records, shardId(shard)), context())
      const failed = batchItemFailures[0]?.itemIdentifier
      const end = failed === undefined ? records.length : records.findIndex(r => BigInt(r.seq) === BigInt(failed))
      if (end > 0) after = records[end - 1]!.seq
      return end > 0
    },
  }
}

/** A stage's function with a mapping for each shard of what it reads: of a source, if that is a stream of Kinesis. `shardsOf`: where others are known than a run begins with. */
export function deploy(world: World, topology: Topology, shardsOf?: (stream: string) => number) {
  return topology.stages.flatMap(at => {
    const source = at.stage.source?.source?.name
    const setting = source === undefined ? undefined : world.settings.sources[source]!
    if (setting !== undefined && setting.kind !== 'kinesis') return []
    const stream = setting?.stream ?? topology.stream(at.stage.index)
    const handler = stageHandler(environment(world, at.stage.id))
    const length = source === undefined && shardsOf !== undefined ? shardsOf(stream) : at.parallelism
    return Array.from({ length }, (_, shard) => mapping(world, stream, shard, handler))
  })
}

/** Until nothing moves any more. */
export async function drain(mappings: readonly { step(limit?: number): Promise<boolean> }[], limit?: number): Promise<void> {
  for (let moved = true; moved; ) {
    moved = false
    for (const m of mappings) moved = (await m.step(limit)) || moved
  }
}

/** So that a few checkpoints have both: kept as it was logged, and folded. */
export const FOLD_SOON = { bytesMax: 1_000_000, checkpointsMax: 2 }

/** The state machine: one checkpoint, from start to its outcome, and for how many parts a function was called. */
export async function checkpoint(
  world: World,
  mappings: readonly { step(limit?: number): Promise<boolean> }[],
  { scheduled = false, behindCut = async (_source: number) => {} } = {},
) {
  const controller = checkpointHandler(environment(world))
  const materialise = materialiseHandler(environment(world), FOLD_SOON)
  const started = (await controller({ step: 'start', scheduled }, context())) as StartedCheckpoint | { nothing: true }
  if ('nothing' in started) return { outcome: 'nothing' }
  const start = JSON.parse(JSON.stringify(started)) as StartedCheckpoint
  for (const { stage, shards } of start.sources) {
    for (const shard of shards) {
      await cutHandler(environment(world, stage))({ shards: [shard], checkpoint: start.checkpoint }, context())
      await behindCut(shard)
    }
  }
  for (let tries = 0; ; tries++) {
    await drain(mappings)
    const collected = (await controller({ step: 'collect', start }, context())) as {
      parts?: any[]
      missing: string[]
      never?: string[]
    }
    if (collected.parts !== undefined) {
      const materialised = []
      for (const part of collected.parts) materialised.push(await materialise({ start, part }, context()))
      const { outcome } = (await controller({ step: 'complete', start, materialised }, context())) as { outcome: string }
      return { outcome, parts: materialised.length }
    }
    const { missing, never } = collected
    if (tries === 20 || never !== undefined)
      return (await controller({ step: 'fail', start, missing, never }, context())) as { outcome: string; reason?: string }
  }
}
