import { readLayouts } from '../checkpoint/layouts.ts'
import type { RunMeta } from '../checkpoint/run-meta.ts'
import type { Shape } from '../graph/shape.ts'
import type { CommitLog } from '../ports.ts'
import type { Counts } from '../protocol/item.ts'
import { type Head, loadHead } from '../protocol/log.ts'
import { isSubtask } from '../stage/layout.ts'
import { producerOf } from '../stage/topology.ts'

/** Where a stage stands, over all its subtasks. */
export interface StageState {
  readonly id: string
  readonly subtasks: number
  /** Commits, of all subtasks together. */
  readonly versions: number
  /** The least of its subtasks', those that are idle left out; -Infinity: none yet. */
  readonly watermark: number
  readonly counts: Pick<Counts, 'recordsIn' | 'recordsOut' | 'results' | 'deadLetters' | 'late'>
}

/** The logs of the subtasks that a run began with, by stage. */
export function logsOf({ run, shape, splits }: Pick<RunMeta, 'run' | 'shape' | 'splits'>): { id: string; names: string[] }[] {
  const { stages } = JSON.parse(shape) as Shape
  // In the same order; a source stage has a subtask for each split.
  const all = Object.values(splits)
  const sources = stages.filter(({ parallelism }) => parallelism === undefined)
  return stages.map(stage => {
    const subtasks = stage.parallelism ?? all[sources.indexOf(stage)]?.length ?? 0
    return { id: stage.id, names: Array.from({ length: subtasks }, (_, i) => `${run}/${stage.id}/${i}`) }
  })
}

/** The logs of all subtasks that a run ever had, by stage: also of those that took over from others. */
export async function allLogsOf(log: Pick<CommitLog, 'range'>, meta: RunMeta): Promise<ReturnType<typeof logsOf>> {
  const layouts = new Map((await readLayouts(log, meta.run)).layouts)
  return logsOf(meta).map(({ id, names }, stage) => {
    const layout = layouts.get(stage)
    return { id, names: layout?.filter(isSubtask).map(({ shard }) => `${meta.run}/${id}/${shard}`) ?? names }
  })
}

/**
 * The stages of a run, from their logs: as of the last commit of each subtask. `seen`: by log, a commit that is there for certain, at which reading begins; gets what was read. A log
 * is long while its changes wait to be folded.
 */
export async function stagesOf(log: CommitLog, meta: RunMeta, seen: Map<string, number> = new Map()): Promise<StageState[]> {
  const loaded = await Promise.all(
    (await allLogsOf(log, meta)).map(async ({ id, names }) => {
      const heads = await Promise.all(
        names.map(async name => {
          const { head } = await loadHead(log, name, Number.POSITIVE_INFINITY, seen.get(name))
          seen.set(name, head.lastCommit[0])
          return { shard: Number(name.slice(name.lastIndexOf('/') + 1)), head }
        }),
      )
      return { id, heads }
    }),
  )
  const idle = new Set(loaded.flatMap(({ heads }) => heads.flatMap(({ head }) => (head.sealed ? [] : head.fields.idle))))
  const began = logsOf(meta).map(({ names }) => names.length)
  return loaded.map(({ id, heads }, stage) => {
    const first = began.slice(0, stage).reduce((sum, n) => sum + n, 0)
    // What those that have ended counted, others have; of those that took over from others the first.
    const atWork = heads.filter(({ head, shard }) => !head.sealed && (head.version > 0 || shard < began[stage]!))
    const heard = atWork.filter(({ shard }) => !idle.has(producerOf(stage, shard, first, began[stage]!)))
    return stateOf(
      id,
      atWork.map(h => h.head),
      (heard.length === 0 ? atWork : heard).map(h => h.head),
    )
  })
}

function stateOf(id: string, heads: readonly Head[], heard: readonly Head[]): StageState {
  const sum = (figure: keyof StageState['counts']) => heads.reduce((total, { fields }) => total + fields.counts[figure], 0)
  return {
    id,
    subtasks: heads.length,
    versions: heads.reduce((total, { version }) => total + version, 0),
    watermark: Math.min(...heard.map(({ fields }) => fields.watermark)),
    counts: {
      recordsIn: sum('recordsIn'),
      recordsOut: sum('recordsOut'),
      results: sum('results'),
      deadLetters: sum('deadLetters'),
      late: sum('late'),
    },
  }
}
