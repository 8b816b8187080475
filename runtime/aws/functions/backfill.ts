import type { Pipeline } from '../../api/pipeline.ts'
import { type Job, type Prepared, prepare } from '../../batch/job.ts'
import { jsonBytes, readJsonBlob } from '../../batch/stored/json-blob.ts'
import { failuresOf, jobOf } from '../../batch/stored/names.ts'
import { runStoredTask } from '../../batch/stored/task.ts'
import { within } from '../../connectors/within.ts'
import { MillraceError } from '../../errors.ts'
import { planPhysical } from '../../graph/planner.ts'
import { shapeOf } from '../../graph/shape.ts'
import { objectFiles } from '../object-files.ts'
import type { Backing, SourceStreams } from './environment.ts'
import { type InvocationContext, mayPass } from './event.ts'
import { stateBudget } from './memory.ts'
import type { Settings } from './settings.ts'
import { splitsOf } from './splits.ts'

/** One of a backfill's tasks, as the state machine reads it from a list. */
export interface BackfillTask {
  readonly run: string
  /** Its id. */
  readonly stage: string
  readonly shard: number
  /** Of a subtask; of the pipeline, when all is there; of a stage then; of a subtask's results that were held back; and of what is not needed any more. */
  readonly step: 'run' | 'handover' | 'commit' | 'send' | 'forget'
  /** Of the savepoint of a handover: where it goes in the bucket. */
  readonly to?: string
}

/** The command asks what there is to do. */
export interface BackfillPlanEvent {
  readonly step: 'plan'
  /** Of stages whose operators set none, before the stack's own. */
  readonly parallelism?: number | undefined
}

export interface BackfillPlan {
  readonly pipeline: string
  readonly shape: string
  readonly parallelism: number
  readonly parallelismOf?: Readonly<Record<string, number>> | undefined
  readonly keyGroups: number
  readonly stages: readonly {
    readonly id: string
    /** Stages that it reads from, by index. */
    readonly from: readonly number[]
    /** Of a stage behind a shuffle. */
    readonly parallelism: number
    /** Name of the source that it begins with. */
    readonly source?: string | undefined
    /** Has sinks whose results become visible at the end; that are sent them then. */
    readonly commits: boolean
    readonly sends: boolean
  }[]
}

/** What these functions stand on: blobs and objects, and neither tables nor streams. */
export interface BackfillBacking extends Pick<Backing, 'objects' | 'sinks'> {
  readonly ports: Pick<Backing['ports'], 'blobs' | 'clock' | 'random'>
  /** Asked for the splits of a stream that is to go on. */
  sourceStreams(): Promise<SourceStreams>
}

/** Of the time that a call has, so much is for work; the rest for keeping what came of it. */
const WORK_SHARE = 2 / 3
const MARGIN_MS = 5_000

/** The function of a stage that runs its tasks of a backfill. Each may run twice, late, or die anywhere. */
export function backfillHandler(
  app: Pipeline,
  settings: Settings,
  back: (deadline: () => number | undefined) => BackfillBacking,
): (event: BackfillTask | BackfillPlanEvent, context: InvocationContext) => Promise<{ through: boolean } | BackfillPlan> {
  const graph = app.graph()
  let deadline = Number.POSITIVE_INFINITY
  const backing = back(() => (deadline === Number.POSITIVE_INFINITY ? undefined : deadline))
  const { blobs, clock, random } = backing.ports
  let prepared: Prepared | undefined

  async function open(run: string): Promise<Prepared> {
    if (prepared?.job.run === run) return prepared
    const job = await readJsonBlob<Job>(blobs, jobOf(run))
    if (job === undefined) throw new MillraceError(`the backfill ${run} is gone: start it again`)
    prepared = prepare(graph, job, '', backing.sinks, stateBudget(), objectFiles(backing.objects))
    return prepared
  }

  /** Of the streams that are to go on. */
  async function splits(): Promise<Record<string, readonly string[]>> {
    const { sources } = settings
    const streams = await backing.sourceStreams()
    const lists = Object.entries(sources).map(async ([name, at]) => [name, await splitsOf(at, streams)] as const)
    return Object.fromEntries(await Promise.all(lists))
  }

  async function perform({ run, stage, shard, step, to }: BackfillTask, pauseAt: number): Promise<boolean> {
    const isDue = () => clock.now() >= pauseAt
    // Loaded where it is needed: most calls run a task.
    const settling = () => import('../../batch/stored/settle.ts')
    if (step === 'forget') return (await settling()).forgetStored(run, blobs, isDue)
    const opened = await open(run)
    const index = opened.plan.stages.findIndex(({ id }) => id === stage)
    if (index === -1)
      throw new MillraceError(
        `the pipeline has no stage '${stage}' any more: it was deployed again since the backfill ${run} began`,
      )
    if (step === 'send') return (await settling()).sendStored(opened, index, shard, blobs, isDue)
    if (step === 'handover') {
      const { handOverStored } = await import('../../batch/stored/handover.ts')
      await handOverStored(opened, blobs, { ...within(blobs, `${to}/`), name: `s3://${settings.bucket}/${to}` }, await splits())
      return true
    }
    if (step === 'run') return runStoredTask(opened, { stage: index, shard }, { blobs, clock, random, pauseAt })
    await (await settling()).commitStored(opened, index, blobs)
    return true
  }

  return async (event, context) => {
    if (event.step === 'plan') return planOf(app, settings, event)
    const { run, stage, shard, step } = event
    const budget = context.getRemainingTimeInMillis()
    deadline = clock.now() + budget - Math.min(MARGIN_MS, budget / 4)
    try {
      return { through: await perform(event, clock.now() + budget * WORK_SHARE) }
    } catch (error) {
      // The state machine does not say which of many tasks it was, nor all of why.
      if (!mayPass(error)) {
        const { name, message } = error as Error
        await blobs.put(`${failuresOf(run)}${step}-${stage}-${shard}.json`, jsonBytes({ stage, shard, error: name, message }))
      }
      throw error
    }
  }
}

function planOf(app: Pipeline, { options, sinks }: Settings, { parallelism: wanted }: BackfillPlanEvent): BackfillPlan {
  const graph = app.graph()
  const own = { ...options, ...(wanted !== undefined && { parallelism: wanted, parallelismOf: undefined }) }
  const plan = planPhysical(graph, own)
  return {
    pipeline: graph.name,
    shape: shapeOf(plan),
    parallelism: own.parallelism ?? graph.options.parallelism ?? 1,
    parallelismOf: own.parallelismOf,
    keyGroups: plan.options.keyGroups,
    stages: plan.stages.map(stage => {
      const writes = stage.nodes.flatMap(({ sink }) =>
        sink === undefined ? [] : [sinks[sink.name] !== undefined || sink.sink.commit !== undefined],
      )
      return {
        id: stage.id,
        from: [...new Set(stage.inputs.map(edge => edge.fromStage))],
        parallelism: stage.parallelism,
        source: stage.source?.source?.name,
        commits: writes.includes(true),
        sends: writes.includes(false),
      }
    }),
  }
}
