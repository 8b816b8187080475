import { readLayouts } from '../checkpoint/layouts.ts'
import type { RunKind, RunMeta } from '../checkpoint/run-meta.ts'
import { upgradeOf } from '../checkpoint/upgrade.ts'
import type { Shape } from '../graph/shape.ts'
import type { CommitLog } from '../ports.ts'
import { openShards } from '../stage/layout.ts'

/** A run as it is found, and what it is to be. */
export interface Found {
  /** With as many subtasks as it has by now. */
  readonly there: RunMeta
  readonly wanted: RunKind
  /** `wanted` as the run began, if it can go on in its own logs, where subtasks are numbered from then. Undefined: it has another number of subtasks by now. */
  readonly begun: RunKind | undefined
}

/** Stages may have been rescaled while the run went on: what it goes on with is what it has by now, not what it began with. `kindFor`: what is wanted, by the shape that is there. */
export async function findRun(log: Pick<CommitLog, 'range'>, meta: RunMeta, kindFor: (found: string) => RunKind): Promise<Found> {
  const layouts = new Map((await readLayouts(log, meta.run)).layouts)
  const shape = withParallelism(meta.shape, (stage, was) => {
    const layout = layouts.get(stage)
    return layout === undefined ? was : openShards(layout).length
  })
  const there = { ...meta, shape }
  const wanted = kindFor(shape)
  if (shape === meta.shape) return { there, wanted, begun: wanted }
  if (!upgradeOf(there, wanted).sameLayout) return { there, wanted, begun: undefined }
  const { stages }: Shape = JSON.parse(meta.shape)
  return { there, wanted, begun: { ...wanted, shape: withParallelism(wanted.shape, stage => stages[stage]!.parallelism) } }
}

/** Sources have none. */
function withParallelism(shape: string, parallelismOf: (stage: number, was: number | undefined) => number | undefined): string {
  const parsed: Shape = JSON.parse(shape)
  const stages = parsed.stages.map((stage, i) => ({ ...stage, parallelism: parallelismOf(i, stage.parallelism) }))
  return JSON.stringify({ ...parsed, stages })
}
