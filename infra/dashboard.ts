import { Dashboard, GraphWidget, type IMetric, type IWidget, Stats } from 'aws-cdk-lib/aws-cloudwatch'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import type { MetricName } from '../runtime/aws/functions/metric-names.ts'
import { isQueue } from './failures.ts'
import { iteratorAge, offsetLag, oldestObject, PERIOD, refusedFrames, throttledWrites, told, type Watched } from './metrics.ts'
import type { DeployedStage } from './pipeline.ts'

/** What somebody asks who is called at night, from top to bottom: is it behind, does it fail, is it held up, are checkpoints taken, is anything lost. */
export function makeDashboard(scope: Construct, watched: Watched): Dashboard {
  const { stages, functions, storage, givenUp, metrics, prefix } = watched
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
          perStage(({ handler, reads, queue }, label) => {
            if (queue !== undefined) return [oldestObject(queue, label)]
            return reads === 'kafka' ? [] : [iteratorAge(handler, label)]
          }),
          perStage(({ handler, reads }, label) => (reads === 'kafka' ? [offsetLag(handler, label)] : [])),
        ),
        recordsGraph(watched),
      ],
      ...(metrics ? flowRows(watched) : []),
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
      checkpointRow(watched),
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

/** As the stage counts them, or else what it reads of Kinesis: of the streams between stages that is frames. */
function recordsGraph({ stages, metrics, prefix }: Watched): IWidget {
  if (metrics) return graph('Records in, a minute', ofStages(stages, prefix, 'RecordsIn', Stats.SUM))
  const reads = Object.entries(stages).flatMap(([label, { stream }]) =>
    stream === undefined ? [] : [stream.metricGetRecords({ label, period: PERIOD, statistic: Stats.SUM })],
  )
  return graph('Records from Kinesis a minute', reads)
}

function flowRows({ stages, prefix }: Watched): IWidget[][] {
  const of = (name: MetricName, statistic: string, what = '') => ofStages(stages, prefix, name, statistic, what)
  return [
    [
      graph('Watermark behind the clock, ms', of('WatermarkLag', Stats.MAXIMUM)),
      graph('Records out, a minute', of('RecordsOut', Stats.SUM)),
    ],
    [
      graph(
        'Commits a minute; how long one takes, ms (p95)',
        of('CommitDuration', Stats.SAMPLE_COUNT),
        of('CommitDuration', Stats.p(95), 'ms'),
      ),
      graph('State written, bytes a minute', of('StateBytes', Stats.SUM)),
    ],
    [
      graph('Left out', [...of('LateRecords', Stats.SUM, 'too late'), ...of('DeadLetters', Stats.SUM, 'dead letters')]),
      graph('Done again', [
        ...of('Replays', Stats.SUM, 'delivered again'),
        ...of('LostRaces', Stats.SUM, 'lost races'),
        ...of('Aborts', Stats.SUM, 'aborts for dead functions'),
      ]),
    ],
  ]
}

function checkpointRow({ checkpoints, metrics, prefix }: Watched): IWidget[] {
  const failed = checkpoints.metricFailed({ label: 'failed', period: PERIOD })
  if (!metrics)
    return [
      graph('Checkpoints', [checkpoints.metricSucceeded({ label: 'ended well', period: PERIOD }), failed]),
      graph('Duration of a checkpoint, ms', [checkpoints.metricTime({ label: 'p95', period: PERIOD, statistic: Stats.p(95) })]),
    ]
  const duration = (statistic: string, label: string) => told(prefix, 'CheckpointDuration', statistic, label)
  return [
    graph('Checkpoints', [duration(Stats.SAMPLE_COUNT, 'complete'), failed]),
    graph(
      'Duration of a checkpoint, ms; what it wrote, bytes',
      [duration(Stats.MAXIMUM, 'ms')],
      [told(prefix, 'CheckpointBytes', Stats.SUM, 'bytes')],
    ),
  ]
}

function ofStages(stages: Watched['stages'], prefix: string, name: MetricName, statistic: string, what = ''): IMetric[] {
  return Object.keys(stages).map(id => told(prefix, name, statistic, what === '' ? id : `${id}: ${what}`, id))
}

function graph(title: string, left: IMetric[], right: IMetric[] = []): GraphWidget {
  return new GraphWidget({ title, left, ...(right.length > 0 && { right }), width: 12 })
}
