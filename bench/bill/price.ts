import { PRICES as prices } from '../../runtime/cli/prices.ts'
import flink from './flink.json' with { type: 'json' }
import machine from './machine.json' with { type: 'json' }
import type { Simulated } from './simulate.ts'
import { sum, type Usage } from './usage.ts'

const HOURS = 730
const MONTH_SECONDS = HOURS * 3600
const MINUTES = MONTH_SECONDS / 60
/** docs/aws.md, Metrics: of a stage that is always busy, with state; and of the checkpoints. */
const STAGE_METRICS = 5
const CHECKPOINT_METRICS = 2
/** infra/alarms.ts: of a stage, more of one behind a shuffle, and of the pipeline; test/infra/resources.test.ts counts them. */
const ALARMS = { stage: 3, stream: 1, pipeline: 6 }

export function alarmsOf(stages: readonly Pick<Standing, 'source'>[]): number {
  return ALARMS.stage * stages.length + ALARMS.stream * stages.filter(s => !s.source).length + ALARMS.pipeline
}

/** Dollars by service. */
export type Bill = Readonly<
  Record<'kinesis' | 'lambda' | 'dynamodb' | 's3' | 'stepFunctions' | 'scheduler' | 'cloudWatch', number>
>

export const total = (bill: Bill): number => Object.values(bill).reduce((a, b) => a + b, 0)

/** What usage costs, without what is paid by the hour. */
export function priceOf(usage: Usage): Omit<Bill, 'scheduler'> {
  const { kinesis, dynamodb, s3, lambda, stepFunctions, cloudWatch } = prices
  // Each slot of a log is deleted once, which costs what writing it did: in the long run, whatever was deleted while it was watched.
  const writes = 2 * usage.commitUnits + usage.writeUnits
  return {
    kinesis: usage.putUnits * kinesis.putUnit,
    lambda: usage.invocations * lambda.request + (usage.billedMs / 1000) * machine.memoryGb * lambda.gbSecond,
    dynamodb: writes * dynamodb.writeUnit + usage.readUnits * dynamodb.readUnit,
    s3: usage.s3Puts * s3.put + usage.s3Gets * s3.get,
    stepFunctions: usage.transitions * stepFunctions.transition,
    cloudWatch: ((usage.invocations * machine.logBytes) / 1e9) * cloudWatch.logGb,
  }
}

/** A stage as it stands: its shards, if it has a stream of its own. */
export interface Standing {
  readonly source: boolean
  readonly subtasks: number
}

/** What is paid by the hour, in a month, whether anything flows or not; metrics while something does. Without the source's own stream. */
export function standing(stages: readonly Standing[], busy: boolean): Bill {
  const streams = stages.filter(s => !s.source)
  const shards = streams.reduce((n, s) => n + s.subtasks, 0)
  const metrics = busy ? STAGE_METRICS * stages.length + CHECKPOINT_METRICS : 0
  return {
    kinesis: shards * HOURS * prices.kinesis.shardHour,
    lambda: 0,
    dynamodb: 0,
    s3: 0,
    stepFunctions: 0,
    scheduler: MINUTES * prices.scheduler.call,
    cloudWatch: alarmsOf(stages) * prices.cloudWatch.alarmMonth + metrics * prices.cloudWatch.metricMonth,
  }
}

/** A month of what was simulated. */
export function monthOf({ seconds, stages, taking, looking }: Simulated): Bill {
  const used = priceOf(sum([...stages.map(s => s.usage), ...taking, looking]))
  const fixed = standing(stages, true)
  const month = MONTH_SECONDS / seconds
  return Object.fromEntries(
    Object.entries(fixed).map(([service, dollars]) => [
      service,
      dollars + month * (service in used ? used[service as keyof typeof used] : 0),
    ]),
  ) as Bill
}

/** A month in which nothing flows. `look`: what one look at nothing takes. */
export function idleMonth(stages: readonly Standing[], look: Usage): Bill {
  const used = priceOf(look)
  const fixed = standing(stages, false)
  return Object.fromEntries(
    Object.entries(fixed).map(([service, dollars]) => [
      service,
      dollars + MINUTES * (service in used ? used[service as keyof typeof used] : 0),
    ]),
  ) as Bill
}

/** A source's own stream: 1,000 records and 1 MB a second a shard, of which 80 % are used. The same for Flink. */
export function sourceStreamMonth(shards: number): number {
  return shards * HOURS * prices.kinesis.shardHour
}

export function eventsOfMonth(rate: number): number {
  return rate * MONTH_SECONDS
}

/** KPUs of Managed Flink that run the job: each has one CPU. */
export function kpusFor(pipeline: string, rate: number): number {
  const known: Readonly<Record<string, number>> = { ...flink.eventsPerCpuSecond, ...flink.assumed }
  const perCpuSecond = known[pipeline]
  if (perCpuSecond === undefined) throw new Error(`bench/bill/flink.json has no figure for ${pipeline}`)
  return Math.max(1, Math.ceil(rate / (perCpuSecond * flink.busyMax)))
}

/** And one KPU more for each application, without storage. */
export function flinkMonth(kpus: number): number {
  const { kpuHour, storageGbMonth, storageGbPerKpu } = prices.managedFlink
  return (kpus + 1) * HOURS * kpuHour + kpus * storageGbPerKpu * storageGbMonth
}
