import { Duration } from 'aws-cdk-lib'
import {
  Alarm,
  ComparisonOperator,
  Dashboard,
  GraphWidget,
  type IMetric,
  MathExpression,
  Metric,
  SingleValueWidget,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { IQueue } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import type { Construct } from 'constructs'

const PERIOD = Duration.minutes(1)
/** Some seconds are usual, and minutes after a deployment. */
const ITERATOR_AGE_MS_MAX = 60_000
const FUNCTION_ERRORS_MAX = 3
/** Of five minutes, so many have to be bad: a retry that helps is no alarm. */
const BAD_MINUTES = { datapointsToAlarm: 3, evaluationPeriods: 5 }

export interface Watched {
  readonly stages: Readonly<Record<string, { readonly handler: IFunction; readonly stream: IStream }>>
  /** All of them, by what they are called on the dashboard. */
  readonly functions: Readonly<Record<string, IFunction>>
  readonly checkpoints: StateMachine
  readonly deadLetters: IQueue
}

/** One for each stage and function, so that the name of the alarm says where to look. */
export function makeAlarms(scope: Construct, { stages, functions, checkpoints, deadLetters }: Watched): Alarm[] {
  const alarm = (
    id: string,
    metric: IMetric,
    threshold: number,
    alarmDescription: string,
    when: { datapointsToAlarm?: number; evaluationPeriods: number } = { evaluationPeriods: 1 },
  ) =>
    new Alarm(scope, `Alarm-${id}`, {
      metric,
      threshold,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription,
      ...when,
    })
  return [
    ...Object.entries(stages).map(([id, { handler }]) =>
      alarm(
        `Behind-${id}`,
        iteratorAge(handler),
        ITERATOR_AGE_MS_MAX,
        `Stage ${id} is more than a minute behind its stream`,
        BAD_MINUTES,
      ),
    ),
    ...Object.entries(functions).flatMap(([name, fn]) => [
      alarm(
        `Errors-${name}`,
        fn.metricErrors({ period: PERIOD }),
        FUNCTION_ERRORS_MAX,
        `${name} fails again and again`,
        BAD_MINUTES,
      ),
      alarm(
        `Throttles-${name}`,
        fn.metricThrottles({ period: PERIOD }),
        0,
        `${name} is throttled: more concurrency is needed`,
        BAD_MINUTES,
      ),
    ]),
    alarm(
      'Checkpoints',
      failedCheckpoints(checkpoints),
      0,
      'A checkpoint failed: the one before stands; the execution names the subtasks that did not ack',
    ),
    alarm(
      'DeadLetters',
      deadLetters.metricApproximateNumberOfMessagesVisible({ period: PERIOD }),
      0,
      'Records could not be handed to a stage: the dead-letter queue says which',
    ),
  ]
}

export function makeDashboard(
  scope: Construct,
  dashboardName: string,
  { stages, functions, checkpoints, deadLetters }: Watched,
): Dashboard {
  const graph = (title: string, left: IMetric[]) => new GraphWidget({ title, left, width: 12 })
  const perStage = (metric: (stage: { handler: IFunction; stream: IStream }, label: string) => IMetric) =>
    Object.entries(stages).map(([id, stage]) => metric(stage, id))
  const perFunction = (metric: (fn: IFunction, label: string) => IMetric) =>
    Object.entries(functions).map(([name, fn]) => metric(fn, name))
  return new Dashboard(scope, 'Dashboard', {
    dashboardName,
    widgets: [
      [
        graph(
          'Behind the stream, ms',
          perStage(({ handler }, label) => iteratorAge(handler, label)),
        ),
        graph(
          'Records from Kinesis a minute',
          perStage(({ stream }, label) => stream.metricGetRecords({ label, period: PERIOD, statistic: Stats.SUM })),
        ),
      ],
      [
        graph(
          'Invocations a minute',
          perFunction((fn, label) => fn.metricInvocations({ label, period: PERIOD })),
        ),
        graph(
          'Duration, ms (p95)',
          perFunction((fn, label) => fn.metricDuration({ label, period: PERIOD, statistic: Stats.p(95) })),
        ),
      ],
      [
        graph(
          'Errors',
          perFunction((fn, label) => fn.metricErrors({ label, period: PERIOD })),
        ),
        graph(
          'Throttles',
          perFunction((fn, label) => fn.metricThrottles({ label, period: PERIOD })),
        ),
      ],
      [
        graph('Checkpoints', [
          checkpoints.metricSucceeded({ label: 'ended well', period: PERIOD }),
          checkpoints.metricFailed({ label: 'failed', period: PERIOD }),
        ]),
        graph('Duration of a checkpoint, ms', [checkpoints.metricTime({ label: 'p95', period: PERIOD, statistic: Stats.p(95) })]),
      ],
      [
        new SingleValueWidget({
          title: 'Dead letters',
          metrics: [deadLetters.metricApproximateNumberOfMessagesVisible({ period: PERIOD })],
        }),
      ],
    ],
  })
}

/** How long the last record of a batch had waited. */
function iteratorAge(handler: IFunction, label?: string): Metric {
  return new Metric({
    namespace: 'AWS/Lambda',
    metricName: 'IteratorAge',
    dimensionsMap: { FunctionName: handler.functionName },
    statistic: Stats.MAXIMUM,
    period: PERIOD,
    label,
  })
}

function failedCheckpoints(checkpoints: StateMachine): IMetric {
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
