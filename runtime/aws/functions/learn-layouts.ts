import { followLayouts, type Layouts, putLayouts } from '../../checkpoint/layouts.ts'
import { LostRaceError } from '../../protocol/errors.ts'
import type { Layout } from '../../stage/layout.ts'
import { refuseRescale } from '../../stage/refuse-rescale.ts'
import type { Topology } from '../../stage/topology.ts'
import { StageStreamSplitError } from '../errors.ts'
import { stageStreamName } from '../names.ts'
import type { Environment } from './environment.ts'
import { coversAll, hasGaps, layoutOf, type RangedShard, REMEDY } from './stage-layout.ts'

const TRIES_MAX = 20
/** By then a list has all shards that were made before the newest that it had. */
const SETTLED_MS = 3_000
const LOOKS_MAX = 10

/**
 * Takes up what has become of the shards of these stages' streams: as the run's log has it, or else as the streams say; who is first to see it writes it there, so that it is the same for all, also when Kinesis has
 * forgotten shards. False: nothing has changed, as far as can be seen now.
 *
 * @throws StageStreamSplitError for shards that can't be subtasks of this run
 */
export async function learnLayouts(environment: Environment, topology: Topology, stages: readonly number[]): Promise<boolean> {
  const { log } = environment.ports
  const before = topology.epoch
  for (let tries = 1; ; tries++) {
    const known = await followLayouts(log, topology)
    const changed: (readonly [number, Layout])[] = []
    for (const stage of stages) {
      const layout = await listedLayout(environment, topology, stage)
      if (layout !== undefined) changed.push([stage, layout])
    }
    try {
      if (changed.length > 0) await putLayouts(log, topology.run, changed, known)
    } catch (error) {
      if (!(error instanceof LostRaceError) || tries === TRIES_MAX) throw error
      continue
    }
    for (const [stage, layout] of changed) {
      topology.adopt(stage, layout)
      environment.log('info', `stage '${topology.stages[stage]!.stage.id}' has ${topology.parallelism(stage)} shards now`)
    }
    return topology.epoch > before
  }
}

/**
 * The streams of a run that has not begun yet may have been split or merged in the time of one before: then its first subtasks are of shards that are closed, and those that are open take over from them.
 *
 * @throws StageStreamSplitError for shards that can't be subtasks of this run, and for a stream that is being changed
 */
export async function firstLayouts(environment: Environment, topology: Topology): Promise<Layouts> {
  const found: (readonly [number, Layout])[] = []
  for (const { stage } of topology.stages) {
    if (stage.source !== undefined) continue
    const layout = await listedLayout(environment, topology, stage.index, await settled(environment, stage.id))
    if (layout === undefined) continue
    found.push([stage.index, layout.map(shard => (shard.children === undefined ? shard : { ...shard, unused: true }))])
  }
  return found
}

/** Waits until a stream is not being changed. What takes over is known then before anything comes of it: later, it would be looked for in all that the runs before have left there. */
async function settled(environment: Environment, stage: string): Promise<readonly RangedShard[]> {
  for (let looks = 1; ; looks++) {
    const listed = await listedOf(environment, stage)
    if (coversAll(listed)) return listed
    if (looks === LOOKS_MAX)
      throw new StageStreamSplitError(
        stage,
        'its open shards do not cover all hash keys once, as while it is being changed',
        'give the same command again when that is through',
      )
    await environment.ports.clock.sleep(SETTLED_MS)
  }
}

function listedOf({ settings, stageStreams }: Environment, stage: string): Promise<readonly RangedShard[]> {
  return stageStreams.listShards(stageStreamName(settings.prefix, stage))
}

async function listedLayout(environment: Environment, topology: Topology, stage: number, known?: readonly RangedShard[]) {
  const { id } = topology.stages[stage]!.stage
  const listed = known ?? (await listedOf(environment, id))
  if (hasGaps(listed, topology.layout(stage))) {
    await environment.ports.clock.sleep(SETTLED_MS)
    if (JSON.stringify(await listedOf(environment, id)) !== JSON.stringify(listed)) return undefined
  }
  const layout = layoutOf(listed, topology.layout(stage), topology.plan.options.keyGroups, id)
  if (layout !== undefined) refuse(topology, stage)
  return layout
}

function refuse(topology: Topology, stage: number): void {
  try {
    refuseRescale(topology, stage)
  } catch (error) {
    throw new StageStreamSplitError(topology.stages[stage]!.stage.id, (error as Error).message, REMEDY)
  }
}
