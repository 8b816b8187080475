import { MillraceError } from '../../errors.ts'
import { planPhysical } from '../../graph/planner.ts'
import { refuseRescale } from '../../stage/refuse-rescale.ts'
import type { Environment, OpenRun } from './environment.ts'
import { learnLayouts } from './learn-layouts.ts'

/** Asked of the checkpoint function by `millrace rescale`: how many subtasks each stage is to have. */
export interface RescaleEvent {
  readonly step: 'rescale'
  readonly parallelism: number
  /** Of this one only, by its id. */
  readonly stage?: string
}

/** How many subtasks a stage has and is to have; and the run that this is about. */
export interface RescaleTargets {
  readonly run: string
  readonly stages: readonly { readonly stage: string; readonly from: number; readonly to: number }[]
}

/**
 * Each stage as if the pipeline had been deployed with that parallelism: operators that set their own keep it. Or one stage alone.
 * @throws MillraceError for what can't be rescaled while it runs
 */
export async function rescaleTargets(
  environment: Environment,
  run: OpenRun | undefined,
  { parallelism, stage: only }: RescaleEvent,
): Promise<RescaleTargets> {
  if (run === undefined) throw new MillraceError('nothing runs yet: none of its sources has had a record')
  const { topology } = run
  const { graph, stages, options } = topology.plan
  if (parallelism > options.keyGroups)
    throw new MillraceError(`a stage has ${options.keyGroups} key groups, and so at most as many subtasks`)
  const behind = stages.filter(({ source, id }) => source === undefined && (only === undefined || id === only))
  if (behind.length === 0)
    throw new MillraceError(
      `there is no stage '${only}' behind a shuffle: there is ${stages.flatMap(s => (s.source === undefined ? [s.id] : [])).join(', ')}`,
    )
  const wanted = planPhysical(graph, { ...environment.settings.options, parallelism }).stages
  if (wanted.length !== stages.length || wanted.some((s, i) => s.id !== stages[i]!.id))
    throw new MillraceError(
      `with a parallelism of ${parallelism} '${graph.name}' would be cut into other stages: name the stages one by one, with --stage`,
    )
  const indexes = behind.map(({ index }) => index)
  await learnLayouts(environment, topology, indexes)
  const targets = indexes.map(index => {
    const to = only === undefined ? wanted[index]!.parallelism : parallelism
    return { index, stage: stages[index]!.id, from: topology.parallelism(index), to }
  })
  const changed = targets.filter(({ from, to }) => from !== to)
  for (const { index } of changed) refuseRescale(topology, index)
  return { run: topology.run, stages: changed.map(({ stage, from, to }) => ({ stage, from, to })) }
}
