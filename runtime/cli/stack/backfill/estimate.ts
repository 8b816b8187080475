import type { BackfillPlan } from '../../../aws/functions/backfill.ts'
import type { Job } from '../../../batch/job.ts'
import { bytes, counted } from '../../format.ts'
import { PRICES } from '../../prices.ts'
import { tasksOf } from './waves.ts'

/**
 * What one CPU takes of JSON in a second: 40,000 events of some 200 bytes, as of the slowest query of docs/performance.md. Nobody knows what user code does before it runs, nor how many records a stage has for the next: each
 * stage is taken to get all that its sources have.
 */
const BYTES_PER_CPU_SECOND = 8e6
/** What packed files and Parquet hold, for each of their bytes. */
const UNPACKED = 6
const PACKED = /\.(gz|zst|parquet)$/i
/** A cold start and what a task begins and ends with, s. */
const TASK_SECONDS = 1.5
const MB_PER_CPU = 1769
/** docs/backfill.md: what is put and read at a time. */
const VOLUME_BYTES = 16 << 20
const WINDOW_BYTES = 1 << 20
const PUTS_PER_TASK = 4
/** Into the task, out of it, and to its end; its start. */
const TRANSITIONS_PER_TASK = 4

export interface Estimate {
  readonly files: number
  readonly bytes: number
  readonly tasks: number
  readonly lambda: number
  readonly stepFunctions: number
  readonly s3: number
  readonly total: number
  /** With so many functions at a time. */
  readonly seconds: number
}

/** What a backfill will cost, about, in dollars, and how long it will take. */
export function estimate(
  { stages }: BackfillPlan,
  { pieces }: Pick<Job, 'pieces'>,
  memoryMb: Readonly<Record<string, number>>,
  concurrency: number,
): Estimate {
  const counts = Object.fromEntries(Object.entries(pieces).map(([name, list]) => [name, list.length]))
  const stored = Object.values(pieces).flat()
  const raw = (source: string) => (pieces[source] ?? []).reduce((n, p) => n + p.bytes * (PACKED.test(p.path) ? UNPACKED : 1), 0)
  const input: number[] = []
  for (const { source, from } of stages) input.push(source === undefined ? from.reduce((n, i) => n + input[i]!, 0) : raw(source))
  let [tasks, gbSeconds, seconds, exchanges] = [0, 0, 0, 0]
  for (const [i, stage] of stages.entries()) {
    const own = tasksOf(stage, counts)
    const memory = memoryMb[stage.id] ?? MB_PER_CPU
    const work = input[i]! / BYTES_PER_CPU_SECOND / Math.min(1, memory / MB_PER_CPU) + own * TASK_SECONDS
    tasks += own
    gbSeconds += (work * memory) / 1024
    seconds += work / Math.max(1, Math.min(own, concurrency))
    exchanges += stage.from.reduce((n, producer) => n + own * tasksOf(stages[producer]!, counts), 0)
  }
  const between = input.reduce((n, b, i) => n + (stages[i]!.source === undefined ? b : 0), 0)
  const total = stored.reduce((n, p) => n + p.bytes, 0)
  const lambda = tasks * PRICES.lambda.request + gbSeconds * PRICES.lambda.gbSecond
  const stepFunctions = tasks * TRANSITIONS_PER_TASK * PRICES.stepFunctions.transition
  const gets = (total + between) / WINDOW_BYTES + 2 * exchanges + 4 * tasks
  const s3 = (PUTS_PER_TASK * tasks + between / VOLUME_BYTES) * PRICES.s3.put + gets * PRICES.s3.get
  const files = new Set(stored.map(p => p.path)).size
  return { files, bytes: total, tasks, lambda, stepFunctions, s3, total: lambda + stepFunctions + s3, seconds }
}

/** For people, before it starts. */
export function estimateText(
  { files, bytes: read, tasks, lambda, stepFunctions, s3, total }: Estimate,
  concurrency: number,
): string {
  return [
    `reads ${bytes(read)} in ${counted(files, 'file')}, by ${counted(tasks, 'task')}, at most ${concurrency} at a time`,
    `costs about ${dollars(total)}: Lambda ${dollars(lambda)}, Step Functions ${dollars(stepFunctions)}, S3 ${dollars(s3)}`,
    `(list prices of ${PRICES.region}, ${PRICES.collected}, and 8 MB of JSON a second and CPU: your code may take more, or less; without what sinks cost)`,
  ].join('\n')
}

function dollars(amount: number): string {
  return amount < 0.01 ? 'less than $0.01' : `$${amount.toFixed(2)}`
}
