import type { Counts } from '../protocol/item.ts'
import type { BoundedSummary } from './options.ts'
import type { TaskResult } from './task.ts'

/** What the tasks of a stage that are through have left. */
export interface StageResults {
  readonly id: string
  readonly isSource: boolean
  readonly subtasks: number
  readonly results: readonly Pick<TaskResult, 'counts' | 'firstDeadLetter'>[]
  /** Records by sink, of each task, or of each part of one. */
  readonly written: readonly TaskResult['written'][]
}

/** The figures of a bounded run, of what its stages have left. */
export function summaryOf(
  run: Pick<BoundedSummary, 'outcome' | 'pipeline' | 'run' | 'resumed' | 'skippedFiles' | 'elapsedMs'>,
  stages: readonly StageResults[],
): BoundedSummary {
  const total = (field: keyof Counts, of = stages) => of.flatMap(s => s.results).reduce((n, { counts }) => n + counts[field], 0)
  const sinks: Record<string, number> = {}
  for (const written of stages.flatMap(s => s.written))
    for (const [name, records] of Object.entries(written)) sinks[name] = (sinks[name] ?? 0) + records
  return {
    ...run,
    events: total(
      'recordsIn',
      stages.filter(s => s.isSource),
    ),
    deadLetters: total('deadLetters'),
    late: total('late'),
    results: total('results'),
    stages: stages.map(stage => ({
      id: stage.id,
      subtasks: stage.subtasks,
      recordsIn: total('recordsIn', [stage]),
      recordsOut: total('recordsOut', [stage]),
    })),
    sinks,
    firstDeadLetter: stages.flatMap(s => s.results).find(r => r.firstDeadLetter !== undefined)?.firstDeadLetter,
  }
}
