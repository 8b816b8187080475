import { Dashboard, GraphWidget, type IMetric, Stats } from 'aws-cdk-lib/aws-cloudwatch'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import { isQueue } from './failures.ts'
import { iteratorAge, offsetLag, PERIOD, refusedFrames, throttledWrites, type Watched } from './metrics.ts'
import type { DeployedStage } from './pipeline.ts'

/** What somebody asks who is called at night, from top to bottom: is it behind, does it fail, is it held up, are checkpoints taken, is anything lost. */
export function makeDashboard(scope: Construct, watched: Watched): Dashboard {
  const { stages, functions, checkpoints, storage, givenUp, prefix } = watched
  const perStage = (metric: (stage: DeployedStage, label: string) => IMetric[]) =>
    Object.entries(stages).flatMap(([id, stage]) => metric(stage, id))
  const perFunction = (metric: (fn: IFunction, label: string) => IMetric) =>
    Object.entries(functions).map(([name, fn]) => metric(fn, name))
  const p95 = { period: PERIOD, statistic: Stats.p(95) }
  return new Dashboard(scope, 'Dashboard', {
    dashboardName: prefix,
    widgets: [
      [
        graph(
          'Behind the stream, ms; behind Kafka, records',
          perStage(({ handler, reads }, label) => (reads === 'kafka' ? [] : [iteratorAge(handler, label)])),
          perStage(({ handler, reads }, label) => (reads === 'kafka' ? [offsetLag(handler, label)] : [])),
        ),
        graph(
          'Records from Kinesis a minute',
          perStage(({ stream }, label) =>
            stream === undefined ? [] : [stream.metricGetRecords({ label, period: PERIOD, statistic: Stats.SUM })],
          ),
        ),
      ],
      [
        graph(
          'Invocations a minute',
          perFunction((fn, label) => fn.metricInvocations({ label, period: PERIOD })),
        ),
        graph(
          'Duration, ms (p95)',
          perFunction((fn, label) => fn.metricDuration({ label, ...p95 })),
        ),
      ],
      [
        graph(
          'Errors',
          perFunction((fn, label) => fn.metricErrors({ label, period: PERIOD })),
        ),
        graph('Throttles', [
          ...perFunction((fn, label) => fn.metricThrottles({ label, period: PERIOD })),
          ...perStage((stage, label) => (stage.cut === undefined ? [refusedFrames(stage, `stream of ${label}`)] : [])),
          throttledWrites(storage.log, 'log table'),
          throttledWrites(storage.state, 'state table'),
        ]),
      ],
      [
        graph('Checkpoints', [
          checkpoints.metricSucceeded({ label: 'ended well', period: PERIOD }),
          checkpoints.metricFailed({ label: 'failed', period: PERIOD }),
        ]),
        graph('Duration of a checkpoint, ms', [checkpoints.metricTime({ label: 'p95', ...p95 })]),
      ],
      [
        graph('Dead letters', [
          givenUp,
          ...(isQueue(storage.deadLetters)
            ? [storage.deadLetters.metricApproximateNumberOfMessagesVisible({ label: 'not handed over', period: PERIOD })]
            : []),
        ]),
      ],
    ],
  })
}

function graph(title: string, left: IMetric[], right: IMetric[] = []): GraphWidget {
  return new GraphWidget({ title, left, ...(right.length > 0 && { right }), width: 12 })
}
