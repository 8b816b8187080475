import { type Checkpoint, checkpointsOf, lastCuts } from '../../inspect/checkpoints.ts'
import { type StageState, stagesOf } from '../../inspect/stages.ts'
import type { Clock } from '../../ports.ts'
import type { Control } from './control.ts'
import { withRunIfAny } from './look.ts'
import type { Stack } from './stack.ts'

/** Between the two looks that a rate is of. Stages commit about once a second. */
const LOOKS_MS = 3_000

export interface Status {
  readonly pipeline: string
  /** Undefined: no source has had a record yet. */
  readonly run: string | undefined
  readonly stages: readonly StageStatus[]
  readonly lastCheckpoint: Checkpoint | undefined
}

export interface StageStatus extends Omit<StageState, 'watermark'> {
  /** Of its event source mapping: Enabled, Disabled, … */
  readonly state: string
  /** What Lambda says of its last batch, if that failed; null: it did not. */
  readonly problem: string | null
  /** Epoch ms; null: none yet, or at the end of the input. */
  readonly watermark: number | null
  readonly recordsPerSecond: number
  /** Behind what it reads, ms, or of Kafka records; null: CloudWatch does not know. */
  readonly behindMs: number | null
  readonly behindRecords: number | null
}

export async function readStatus(
  control: Pick<Control, 'mappingState' | 'mappingProblem' | 'lags'>,
  stack: Stack,
  clock: Clock,
): Promise<Status> {
  const ids = Object.keys(stack.stages)
  const [looked, states, problems, lags] = await Promise.all([
    withRunIfAny(stack, async (ports, meta) => {
      const seen = await lastCuts(ports, meta)
      const [before, began] = [await stagesOf(ports.log, meta, seen), clock.now()]
      await clock.sleep(LOOKS_MS)
      const after = await stagesOf(ports.log, meta, seen)
      return { run: meta.run, before, after, elapsedMs: clock.now() - began, checkpoints: await checkpointsOf(ports, meta) }
    }),
    Promise.all(ids.map(id => control.mappingState(stack.stages[id]!.mapping))),
    Promise.all(ids.map(id => control.mappingProblem(stack.stages[id]!.mapping))),
    // Metrics are a courtesy: who may not read them sees the rest.
    control.lags(ids.map(id => stack.stages[id]!)).catch(() => ids.map(() => undefined)),
  ])
  const found = looked?.result
  const stages = ids.map((id, i) => {
    const none: StageState = { id, subtasks: 0, versions: 0, watermark: Number.NEGATIVE_INFINITY, counts: NO_COUNTS }
    const now = found?.after.find(stage => stage.id === id) ?? none
    const before = found?.before.find(stage => stage.id === id) ?? none
    const lag = lags[i]
    const records = now.counts.recordsIn - before.counts.recordsIn
    return {
      ...now,
      state: states[i]!,
      problem: problems[i] ?? null,
      watermark: Number.isFinite(now.watermark) ? now.watermark : null,
      recordsPerSecond: found === undefined ? 0 : (records * 1000) / found.elapsedMs,
      behindMs: lag !== undefined && 'ms' in lag ? lag.ms : null,
      behindRecords: lag !== undefined && 'records' in lag ? lag.records : null,
    }
  })
  return { pipeline: stack.pipeline, run: found?.run, stages, lastCheckpoint: found?.checkpoints.at(-1) }
}

const NO_COUNTS = { recordsIn: 0, recordsOut: 0, results: 0, deadLetters: 0, late: 0 }
