import { readLayouts } from '../checkpoint/layouts.ts'
import { MillraceError } from '../errors.ts'
import { planPhysical } from '../graph/planner.ts'
import type { CommitLog } from '../ports.ts'
import { loadHead } from '../protocol/log.ts'
import { evenStarts, type Layout, relaid } from '../stage/layout.ts'
import { refuseRescale } from '../stage/refuse-rescale.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import type { ClosableStreams } from './open-shards.ts'

export interface StageShard {
  readonly at: StageTopology
  readonly shard: number
}

/** What an earlier process has split and merged. */
export async function adoptLayouts(topology: Topology, log: CommitLog, streams: ClosableStreams): Promise<void> {
  for (const [stage, layout] of (await readLayouts(log, topology.run)).layouts) {
    topology.adopt(stage, layout)
    closeShards(topology, stage, layout, streams)
  }
}

export function closeShards(topology: Topology, stage: number, layout: Layout, streams: ClosableStreams): void {
  for (const { shard, children } of layout) if (children !== undefined) streams.close(topology.stream(stage), shard)
}

/** All shards with work to do, now or when others have come to their end. */
export async function unfinishedShards(topology: Topology, log: CommitLog): Promise<StageShard[]> {
  const found = topology.stages.flatMap(at =>
    topology.layout(at.stage.index).map(async ({ shard, children }) => {
      // Asked for those only that may have ended: it costs a read.
      const name = topology.log(at.stage.index, shard)
      const sealed = children !== undefined && (await loadHead(log, name, Number.POSITIVE_INFINITY)).head.sealed
      return sealed ? [] : [{ at, shard }]
    }),
  )
  return (await Promise.all(found)).flat()
}

/**
 * The shards that stages would have if the pipeline had been started with this parallelism: operators that set their own keep it.
 * @throws MillraceError when that changes the stages themselves, and for what can't be rescaled while it runs
 */
export function layoutsFor(
  topology: Topology,
  parallelism: number,
  chaining: boolean,
): (readonly [stage: number, layout: Layout])[] {
  const { graph, stages, options } = topology.plan
  const wanted = planPhysical(graph, { parallelism, chaining }).stages
  if (
    wanted.length !== stages.length ||
    wanted.some((s, i) => [...s.ids.values()].join() !== [...stages[i]!.ids.values()].join())
  )
    throw new MillraceError(
      `with a parallelism of ${parallelism} '${graph.name}' would be cut into other stages: that takes a new run, from a checkpoint`,
    )
  return stages.flatMap(stage => {
    if (stage.source !== undefined) return []
    const layout = relaid(
      topology.layout(stage.index),
      evenStarts(wanted[stage.index]!.parallelism, options.keyGroups),
      options.keyGroups,
    )
    if (layout === undefined) return []
    refuseRescale(topology, stage.index)
    return [[stage.index, layout] as const]
  })
}
