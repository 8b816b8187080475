import type { RunMeta } from '../checkpoint/run-meta.ts'
import type { Shape } from '../graph/shape.ts'
import type { CommitLog } from '../ports.ts'
import type { Counts } from '../protocol/item.ts'
import { loadHead } from '../protocol/log.ts'

/** Where a stage stands, over all its subtasks. */
export interface StageState {
  readonly id: string
  readonly subtasks: number
  /** Commits, of all subtasks together. */
  readonly versions: number
  /** The least of its subtasks'; -Infinity: none yet. */
  readonly watermark: number
  readonly counts: Pick<Counts, 'recordsIn' | 'recordsOut' | 'results' | 'deadLetters' | 'late'>
}

/** The stages of a run, from their logs: as of the last commit of each subtask. */
export async function stagesOf(log: CommitLog, meta: RunMeta): Promise<StageState[]> {
  const { stages } = JSON.parse(meta.shape) as Shape
  // In the same order; a source stage has a subtask for each split.
  const splits = Object.values(meta.splits)
  const sources = stages.filter(({ parallelism }) => parallelism === undefined)
  return Promise.all(
    stages.map(async stage => {
      const { id } = stage
      const subtasks = stage.parallelism ?? splits[sources.indexOf(stage)]?.length ?? 0
      const heads = await Promise.all(
        Array.from(
          { length: subtasks },
          async (_, i) => (await loadHead(log, `${meta.run}/${id}/${i}`, Number.POSITIVE_INFINITY)).head,
        ),
      )
      const sum = (figure: keyof StageState['counts']) => heads.reduce((total, { fields }) => total + fields.counts[figure], 0)
      return {
        id,
        subtasks,
        versions: heads.reduce((total, { version }) => total + version, 0),
        watermark: Math.min(...heads.map(({ fields }) => fields.watermark)),
        counts: {
          recordsIn: sum('recordsIn'),
          recordsOut: sum('recordsOut'),
          results: sum('results'),
          deadLetters: sum('deadLetters'),
          late: sum('late'),
        },
      }
    }),
  )
}
