import type { BackfillPlan, BackfillTask } from '../../../aws/functions/backfill.ts'

/** Tasks of one list: what as many answer has to fit in one payload of Step Functions, 256 KiB. */
const TASKS_MAX = 10_000

/**
 * The tasks of a backfill, in lists of which each begins when the one before is through: the stages, each behind those that it reads from; then what is needed once, when all is there. `pieces`: of each source, how many;
 * `savepoint`: where the stack's bucket gets one, if it is to.
 */
export function wavesOf(
  { stages }: BackfillPlan,
  run: string,
  pieces: Readonly<Record<string, number>>,
  savepoint: string | undefined,
): BackfillTask[][] {
  const depths: number[] = []
  for (const { from } of stages) depths.push(Math.max(0, ...from.map(stage => depths[stage]! + 1)))
  const of = (stage: BackfillPlan['stages'][number], step: BackfillTask['step'], tasks: number) =>
    Array.from({ length: tasks }, (_, shard) => ({ run, stage: stage.id, shard, step }))
  const ordered = Array.from({ length: Math.max(...depths) + 1 }, (_, depth) =>
    stages.flatMap((stage, i) => (depths[i] === depth ? of(stage, 'run', tasksOf(stage, pieces)) : [])),
  )
  const first = { run, stage: stages[0]!.id, shard: 0 }
  const handover: BackfillTask[] = savepoint === undefined ? [] : [{ ...first, step: 'handover', to: savepoint }]
  const settled = stages.flatMap(stage => [
    ...(stage.commits ? of(stage, 'commit', 1) : []),
    ...(stage.sends ? of(stage, 'send', tasksOf(stage, pieces)) : []),
  ])
  const waves: BackfillTask[][] = [...ordered, handover, settled, [{ ...first, step: 'forget' }]]
  return waves.flatMap(wave =>
    Array.from({ length: Math.ceil(wave.length / TASKS_MAX) }, (_, i) => wave.slice(i * TASKS_MAX, (i + 1) * TASKS_MAX)),
  )
}

/** Of one stage. */
export function tasksOf(stage: BackfillPlan['stages'][number], pieces: Readonly<Record<string, number>>): number {
  return stage.source === undefined ? stage.parallelism : (pieces[stage.source] ?? 0)
}
