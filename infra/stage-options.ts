import { Duration } from 'aws-cdk-lib'
import type { LogicalGraph } from '../runtime/graph/graph.ts'
import type { PhysicalPlan, PhysicalStage } from '../runtime/graph/plan.ts'
import { type PlanOptions, planPhysical } from '../runtime/graph/planner.ts'
import { InfraError } from './error.ts'
import type { MillracePipelineProps, StageProps } from './props.ts'

/** A whole CPU: below that, a function gets a part of one. */
export const MEMORY_MB = 1769
const TIMEOUT = Duration.minutes(1)
const SOURCE_BATCH = 1000
const FRAMES_BATCH = 100
/** Messages that SQS gives without a window. */
const OBJECTS_BATCH = 10

/** What Lambda takes. */
export const MEMORY_MB_RANGE = [128, 10_240] as const
const TIMEOUT_SECONDS_MAX = 900
const BATCH_RANGE = [1, 10_000] as const
const WINDOW_SECONDS_MAX = 300

export interface StageOptions {
  readonly memorySize: number
  readonly timeout: Duration
  readonly batchSize: number
  readonly batchWindow: Duration | undefined
  readonly enhancedFanOut: boolean
}

/** What the plan depends on: the functions are told too, and make the same plan. */
export function planOptions({ parallelism, stages = {} }: MillracePipelineProps): PlanOptions {
  checkNumber('parallelism', parallelism, 1, Number.MAX_SAFE_INTEGER)
  const own = Object.entries(stages).filter(([, stage]) => stage.parallelism !== undefined)
  for (const [id, stage] of own) checkNumber(`stages.${id}.parallelism`, stage.parallelism, 1, Number.MAX_SAFE_INTEGER)
  return {
    ...(parallelism !== undefined && { parallelism }),
    ...(own.length > 0 && { parallelismOf: Object.fromEntries(own.map(([id, stage]) => [id, stage.parallelism!])) }),
  }
}

/** @throws InfraError for options of a stage that there is none of */
export function makePlan(graph: LogicalGraph, props: MillracePipelineProps): PhysicalPlan {
  const plan = planPhysical(graph, planOptions(props))
  const unknown = Object.keys(props.stages ?? {}).find(id => !plan.stages.some(stage => stage.id === id))
  if (unknown !== undefined)
    throw new InfraError(
      `stages: ${graph.name} has no stage '${unknown}': its stages are ${plan.stages.map(s => s.id).join(', ')}`,
    )
  return plan
}

export function stageOptions(stage: PhysicalStage, props: MillracePipelineProps): StageOptions {
  const own = props.stages?.[stage.id] ?? {}
  const where = (name: keyof StageProps) => (own[name] === undefined ? name : `stages.${stage.id}.${name}`)
  const { memorySize = MEMORY_MB, timeout = TIMEOUT, enhancedFanOut = false } = { ...props, ...defined(own) }
  const isObjects = stage.source !== undefined && 'objects' in props.sources[stage.source.source!.name]!
  const { size = defaultBatch(stage, isObjects), window } = { ...props.batching, ...own.batching }
  checkNumber(where('memorySize'), memorySize, ...MEMORY_MB_RANGE)
  checkDuration(where('timeout'), timeout, 1, TIMEOUT_SECONDS_MAX)
  checkNumber(`${where('batching')}.size`, size, ...BATCH_RANGE)
  checkDuration(`${where('batching')}.window`, window, 0, WINDOW_SECONDS_MAX)
  if (isObjects && size > OBJECTS_BATCH && !window?.toSeconds())
    throw new InfraError(
      `${where('batching')}: SQS gives more than ${OBJECTS_BATCH} messages only to who waits for them. Stage ${stage.id} reads objects: set stages.${stage.id}.batching to a size of at most ${OBJECTS_BATCH}, or to a window`,
    )
  return { memorySize, timeout, batchSize: size, batchWindow: window, enhancedFanOut }
}

function defaultBatch(stage: PhysicalStage, isObjects: boolean): number {
  if (stage.source === undefined) return FRAMES_BATCH
  return isObjects ? OBJECTS_BATCH : SOURCE_BATCH
}

/** `undefined` said is as good as not said. */
function defined<T extends object>(from: T): Partial<T> {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as Partial<T>
}

export function checkNumber(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`
  throw new InfraError(`${name} is ${value}: a whole number ${range} is needed`)
}

export function checkDuration(name: string, value: Duration | undefined, leastSeconds: number, mostSeconds: number): void {
  if (value === undefined) return
  const seconds = value.toMilliseconds() / 1000
  if (Number.isInteger(seconds) && seconds >= leastSeconds && seconds <= mostSeconds) return
  throw new InfraError(`${name} is ${seconds} s: whole seconds from ${leastSeconds} to ${mostSeconds} are needed`)
}
