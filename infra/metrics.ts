import { Duration } from 'aws-cdk-lib'
import { type IMetric, MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch'
import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import type { IFunction, Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import { FilterPattern, MetricFilter } from 'aws-cdk-lib/aws-logs'
import type { IQueue } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import type { Construct } from 'constructs'
import { type MetricName, NAMESPACE } from '../runtime/aws/functions/metric-names.ts'
import { GIVEN_UP } from '../runtime/aws/functions/poison.ts'
import type { DeployedStage } from './pipeline.ts'
import type { Storage } from './storage.ts'

export const PERIOD = Duration.minutes(1)

export interface Watched {
  readonly prefix: string
  readonly stages: Readonly<Record<string, DeployedStage>>
  /** All of them, by what they are called on the dashboard. */
  readonly functions: Readonly<Record<string, LambdaFunction>>
  readonly checkpoints: StateMachine
  /** Looks whether one is due, and takes their steps. */
  readonly checkpoint: IFunction
  readonly storage: Storage
  /** Records that were given up, of all stages. */
  readonly givenUp: IMetric
  /** Whether the functions tell what they count. */
  readonly metrics: boolean
}

/** What the functions tell themselves (runtime/aws/functions/metrics.ts): of a stage, or of checkpoints. */
export function told(prefix: string, metricName: MetricName, statistic: string, label: string, stage?: string): Metric {
  const dimensionsMap = { service: prefix, ...(stage !== undefined && { stage }) }
  return new Metric({ namespace: NAMESPACE, metricName, dimensionsMap, statistic, period: PERIOD, label })
}

/** How long the last record of a batch had waited: of Kinesis. */
export function iteratorAge(handler: IFunction, label?: string): Metric {
  return behind('IteratorAge', handler, label)
}

/** Records of a topic of Kafka that have not been delivered yet. */
export function offsetLag(handler: IFunction, label?: string): Metric {
  return behind('OffsetLag', handler, label)
}

/** How long ago the oldest object was announced that is not read, ms. */
export function oldestObject(queue: IQueue, label?: string): IMetric {
  const seconds = queue.metricApproximateAgeOfOldestMessage({ period: PERIOD, statistic: Stats.MAXIMUM })
  return new MathExpression({ expression: 'seconds * 1000', usingMetrics: { seconds }, period: PERIOD, label })
}

function behind(metricName: string, { functionName }: IFunction, label: string | undefined): Metric {
  const dimensionsMap = { FunctionName: functionName }
  return new Metric({ namespace: 'AWS/Lambda', metricName, dimensionsMap, statistic: Stats.MAXIMUM, period: PERIOD, label })
}

export function failedCheckpoints(checkpoints: StateMachine): IMetric {
  return new MathExpression({
    expression: 'failed + timedOut',
    label: 'failed checkpoints',
    period: PERIOD,
    usingMetrics: {
      failed: checkpoints.metricFailed({ period: PERIOD }),
      timedOut: checkpoints.metricTimedOut({ period: PERIOD }),
    },
  })
}

/** Asynchronous calls, as the schedule makes them, that failed or were throttled until they were given up. */
export function droppedCalls({ functionName }: IFunction): Metric {
  const dimensionsMap = { FunctionName: functionName }
  return new Metric({
    namespace: 'AWS/Lambda',
    metricName: 'AsyncEventsDropped',
    dimensionsMap,
    statistic: Stats.SUM,
    period: PERIOD,
  })
}

/** Writes that a table refused because a partition, or the table, had no capacity left. */
export function throttledWrites(table: ITable, label: string): Metric {
  return table.metric('WriteThrottleEvents', { statistic: Stats.SUM, period: PERIOD, label })
}

/** Frames that a shard of a stage's stream refused: more than 1 MB or 1,000 records a second. */
export function refusedFrames({ stream }: DeployedStage, label: string): Metric {
  return stream!.metricWriteProvisionedThroughputExceeded({ statistic: Stats.SUM, period: PERIOD, label })
}

/** A count of the lines that stages write for records that they give up. */
export function givenUpRecords(scope: Construct, prefix: string, handlers: readonly LambdaFunction[]): IMetric {
  const metric = { metricNamespace: NAMESPACE, metricName: `${prefix}-given-up` }
  for (const handler of handlers)
    new MetricFilter(scope, `GivenUp-${handler.node.id}`, {
      logGroup: handler.logGroup,
      filterPattern: FilterPattern.anyTerm(GIVEN_UP),
      ...metric,
    })
  const { metricNamespace: namespace, metricName } = metric
  return new Metric({ namespace, metricName, statistic: Stats.SUM, period: PERIOD, label: 'given up' })
}
