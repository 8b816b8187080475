import assert from 'node:assert/strict'
import { checkpointHandler } from '../../runtime/aws/functions/checkpoint.ts'
import type { Backing } from '../../runtime/aws/functions/environment.ts'
import { joinHandler } from '../../runtime/aws/functions/join-source.ts'
import type { RestoredRun, RestoreEvent } from '../../runtime/aws/functions/restore-run.ts'
import type { Ports } from '../../runtime/ports.ts'
import { streamOf } from '../../runtime/sim/streams.ts'
import type { Topology } from '../../runtime/stage/topology.ts'
import { type EmbeddedWorld, embeddedWorld } from './embedded-world.ts'
import { visits } from './visits.ts'
import { context, environment } from './world.ts'

/** As on AWS, a stage has one stream, whatever run it works for. `source`: whose own streams the source reads. */
export async function stackWorld(
  input: readonly (readonly string[])[],
  source?: EmbeddedWorld,
  app = visits(),
): Promise<EmbeddedWorld> {
  const world = await embeddedWorld(app, input, 2)
  const { poll, put } = world.ports.streams
  const streams: Ports['streams'] = {
    ...world.ports.streams,
    put: (stream, ...rest) => put(streamOf(stream), ...rest),
    poll: (stream, ...rest) =>
      stream === 'users-own' && source !== undefined
        ? source.ports.streams.poll(stream, ...rest)
        : poll(streamOf(stream), ...rest),
  }
  const ports = { ...world.ports, streams }
  for (const { stage, parallelism } of world.topology.stages)
    if (stage.source === undefined) world.between.make(streamOf(world.topology.stream(stage.index)), parallelism)
  const sourceStreams = source?.back(() => undefined).sourceStreams
  const back = (deadline: () => number | undefined): Backing => {
    const backing = world.back(deadline)
    return { ...backing, ports, ...(sourceStreams && { sourceStreams }) }
  }
  return { ...world, ports, back, poll: (stream, shard, after, limit) => streams.poll(stream, shard, after, limit) }
}

/** `millrace start --from-snapshot`, as far as functions do it. */
export async function restoreStack(
  world: EmbeddedWorld,
  from: RestoreEvent['from'],
  { newInput = false, replace = false, back = world.back } = {},
): Promise<RestoredRun> {
  const event: RestoreEvent = { step: 'restore', from, newInput, replace, allowDrop: false }
  return (await checkpointHandler(environment(world, undefined, back))(event, context())) as RestoredRun
}

/** And of its sources: each subtask reads on to where its stream is. */
export async function joinSources(world: EmbeddedWorld, topology: Topology): Promise<void> {
  const at = topology.stages[0]!
  const join = joinHandler(environment(world, at.stage.id))
  for (let subtask = 0; subtask < at.parallelism; subtask++)
    assert.deepEqual(await join({ join: subtask }, context()), { joined: true })
}
