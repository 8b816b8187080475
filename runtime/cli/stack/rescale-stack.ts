import type { RescaleEvent, RescaleTargets } from '../../aws/functions/rescale-targets.ts'
import type { Pause } from '../../checkpoint/pauses.ts'
import type { RunMeta } from '../../checkpoint/run-meta.ts'
import { MillraceError } from '../../errors.ts'
import type { Shape } from '../../graph/shape.ts'
import type { Clock, CommitLog } from '../../ports.ts'
import { UsageError } from '../error.ts'
import { duration } from '../format.ts'
import type { Control } from './control.ts'
import type { ShardCounts } from './shard-counts.ts'
import type { Stack } from './stack.ts'
import { takeCheckpoint } from './take-checkpoint.ts'

export interface RescaledStage {
  readonly stage: string
  readonly from: number
  readonly to: number
  /** Of the subtasks that took over, as far as they have begun. */
  readonly pauses: readonly Pause[]
}

export interface RescaledStack {
  readonly stages: readonly RescaledStage[]
  /** False: nothing flows, so that those that take over begin with the next records. */
  readonly begun: boolean
}

const POLL_MS = 1_000
/** Kinesis takes half a minute for each shard that it splits or merges. */
const CHANGED_MS_MAX = 60 * 60_000
/** Until it says that it is at it. */
const BEGUN_MS_MAX = 60_000
/** The first may have its barriers in shards that are closed, and fails by name then. */
const CHECKPOINTS_MAX = 5

export interface RescaleOptions {
  readonly parallelism: number
  readonly stage: string | undefined
  readonly onWait: (elapsedMs: number, what: string) => void
}

/** Changes the streams between the stages of a stack that runs, and waits until those that take over have begun: a checkpoint brings a barrier to each. */
export async function rescaleStack(
  control: Control,
  counts: ShardCounts,
  stack: Stack,
  { log }: { readonly log: CommitLog },
  meta: RunMeta,
  clock: Clock,
  { parallelism, stage, onWait }: RescaleOptions,
): Promise<RescaledStack> {
  await checkRuns(control, stack)
  const event: RescaleEvent = { step: 'rescale', parallelism, ...(stage !== undefined && { stage }) }
  const targets = (await control.invoke(stack.checkpointFunction, event)) as RescaleTargets
  const began = clock.now()
  const tell = (what: string) => onWait(clock.now() - began, what)
  for (const { stage: id, to } of targets.stages) await reshard(counts, stack.stages[id]!.stream!, to, clock, tell)
  for (let taken = 0; ; taken++) {
    const stages = await pausesOf(log, meta, targets)
    if (stages.every(s => s.begun) || targets.stages.length === 0) return { stages, begun: true }
    if (taken === CHECKPOINTS_MAX)
      throw new MillraceError(
        `the streams have their shards, but not every subtask has taken over after ${taken} checkpoints: millrace status --stack says what fails`,
      )
    const { outcome } = await takeCheckpoint(control, stack.checkpoints, clock, (_, what) =>
      tell(`those that take over begin: ${what}`),
    )
    if (outcome === 'nothing') return { stages, begun: false }
  }
}

/** Nobody would take over. */
async function checkRuns(control: Pick<Control, 'mappingState'>, { stages, pipeline }: Stack): Promise<void> {
  for (const [id, { mapping }] of Object.entries(stages)) {
    const state = await control.mappingState(mapping)
    if (state !== 'Enabled')
      throw new UsageError(`${pipeline} does not run: the mapping of stage ${id} is ${state}. Start it with millrace start`)
  }
}

/** Of a stream: to have `to` shards, when it had `from`. */
interface Asked {
  readonly from: number | undefined
  readonly to: number
  readonly at: number
}

/** Kinesis at most doubles a stream in one step, or halves it, and does so only some times a day: a step is asked for once. */
async function reshard(
  counts: ShardCounts,
  stream: string,
  to: number,
  clock: Clock,
  tell: (what: string) => void,
): Promise<void> {
  let asked: Asked = { from: undefined, to, at: clock.now() }
  for (;;) {
    const { open, isActive } = await counts.of(stream)
    if (isActive && open === to) return
    const now = clock.now()
    if (isActive && open !== asked.from) {
      asked = { from: open, to: Math.min(open * 2, Math.max(Math.ceil(open / 2), to)), at: now }
      await counts.update(stream, asked.to)
    } else if (now - asked.at > (isActive ? BEGUN_MS_MAX : CHANGED_MS_MAX))
      throw new MillraceError(
        `stream ${stream} was to get ${asked.to} shards, which was accepted, and after ${duration(now - asked.at)} it has ${open}: give the command again, or split and merge shards by hand`,
      )
    tell(`${stream}: ${open} of ${to} shards`)
    await clock.sleep(POLL_MS)
  }
}

async function pausesOf(log: CommitLog, meta: RunMeta, targets: RescaleTargets) {
  const [{ readLayouts }, { readPause }, { openShards }] = await Promise.all([
    import('../../checkpoint/layouts.ts'),
    import('../../checkpoint/pauses.ts'),
    import('../../stage/layout.ts'),
  ])
  const { stages } = JSON.parse(meta.shape) as Shape
  const layouts = new Map((await readLayouts(log, meta.run)).layouts)
  return Promise.all(
    targets.stages.map(async ({ stage, from, to }) => {
      const open = openShards(layouts.get(stages.findIndex(({ id }) => id === stage)) ?? [])
      const later = open.filter(({ parents }) => parents.length > 0)
      const found = await Promise.all(later.map(({ shard }) => readPause(log, `${meta.run}/${stage}/${shard}`)))
      const pauses = found.flatMap(pause => pause ?? [])
      return { stage, from, to, pauses, begun: open.length === to && pauses.length === later.length }
    }),
  )
}
