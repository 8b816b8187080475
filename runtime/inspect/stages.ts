import type { RunMeta } from '../checkpoint/run-meta.ts'
import type { Shape } from '../graph/shape.ts'
import type { CommitLog } from '../ports.ts'
import type { Counts } from '../protocol/item.ts'
import { type Head, loadHead } from '../protocol/log.ts'

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

/** The logs of a run's subtasks, by stage. */
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

/**
 * The stages of a run, from their logs: as of the last commit of each subtask. `seen`: by log, a commit that is there for certain, at which reading begins; gets what was read. A log
 * is long while its changes wait to be folded.
 */
export async function stagesOf(log: CommitLog, meta: RunMeta, seen: Map<string, number> = new Map()): Promise<StageState[]> {
  const loaded = await Promise.all(
    logsOf(meta).map(async ({ id, names }) => {
      const heads = await Promise.all(
        names.map(async name => {
          const { head } = await loadHead(log, name, Number.POSITIVE_INFINITY, seen.get(name))
          seen.set(name, head.lastCommit[0])
          return head
        }),
      )
      return { id, heads }
    }),
  )
  // Producers are numbered over all stages.
  const idle = new Set(loaded.flatMap(({ heads }) => heads.flatMap(({ fields }) => fields.idle)))
  let producer = 0
  return loaded.map(({ id, heads }) => {
    const first = producer
    producer += heads.length
    const heard = heads.filter((_, i) => !idle.has(first + i))
    return stateOf(id, heads, heard.length === 0 ? heads : heard)
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
