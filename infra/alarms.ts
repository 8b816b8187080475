import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch'
import type { Construct } from 'constructs'
import { isQueue } from './failures.ts'
import {
  failedCheckpoints,
  iteratorAge,
  offsetLag,
  oldestObject,
  PERIOD,
  refusedFrames,
  throttledWrites,
  type Watched,
} from './metrics.ts'
import type { DeployedStage } from './pipeline.ts'

/** Some seconds are usual, and minutes after a deployment. */
const ITERATOR_AGE_MS_MAX = 60_000
/** Lambda measures Kafka in records: ten batches of the usual size. */
const OFFSET_LAG_MAX = 10_000
/** A large one takes several invocations, and waits in between. */
const OBJECT_AGE_MS_MAX = 10 * 60_000
const FUNCTION_ERRORS_MAX = 3
/** Of five minutes, so many have to be bad: a retry that helps is no alarm. */
const BAD_MINUTES = { datapointsToAlarm: 3, evaluationPeriods: 5 }
const ONCE = { evaluationPeriods: 1 }

/** An alarm that has yet to be made: when `metric` is above `above`. */
interface Rule {
  readonly id: string
  readonly metric: IMetric
  readonly above: number
  readonly says: string
  readonly when: { readonly datapointsToAlarm?: number; readonly evaluationPeriods: number }
}

/** One for each stage, function, stream and table, so that the name of the alarm says where to look. */
export function makeAlarms(scope: Construct, watched: Watched): Alarm[] {
  return [...stageRules(watched), ...functionRules(watched), ...pipelineRules(watched)].map(
    ({ id, metric, above, says, when }) =>
      new Alarm(scope, `Alarm-${id}`, {
        metric,
        threshold: above,
        comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
        treatMissingData: TreatMissingData.NOT_BREACHING,
        alarmDescription: says,
        ...when,
      }),
  )
}

function stageRules({ stages }: Watched): Rule[] {
  return Object.entries(stages).flatMap(([id, stage]) => {
    const behind = { id: `Behind-${id}`, ...behindOf(id, stage), when: BAD_MINUTES }
    // What comes in from the user is not sent here.
    if (stage.cut !== undefined) return [behind]
    const refused = {
      id: `Refused-${id}`,
      metric: refusedFrames(stage, id),
      above: 0,
      says: `A shard in front of stage ${id} is full: its parallelism is too low, or some keys have most of the records`,
      when: BAD_MINUTES,
    }
    return [behind, refused]
  })
}

function behindOf(id: string, { handler, reads, queue }: DeployedStage): Pick<Rule, 'metric' | 'above' | 'says'> {
  if (queue !== undefined)
    return {
      metric: oldestObject(queue),
      above: OBJECT_AGE_MS_MAX,
      says: `Stage ${id} has not read an object that was written more than ${OBJECT_AGE_MS_MAX / 60_000} minutes ago`,
    }
  if (reads === 'kafka')
    return {
      metric: offsetLag(handler),
      above: OFFSET_LAG_MAX,
      says: `Stage ${id} is more than ${OFFSET_LAG_MAX} records behind its topic`,
    }
  return { metric: iteratorAge(handler), above: ITERATOR_AGE_MS_MAX, says: `Stage ${id} is more than a minute behind its stream` }
}

function functionRules({ functions }: Watched): Rule[] {
  return Object.entries(functions).flatMap(([name, fn]) => [
    {
      id: `Errors-${name}`,
      metric: fn.metricErrors({ period: PERIOD }),
      above: FUNCTION_ERRORS_MAX,
      says: `${name} fails again and again`,
      when: BAD_MINUTES,
    },
    {
      id: `Throttles-${name}`,
      metric: fn.metricThrottles({ period: PERIOD }),
      above: 0,
      says: `${name} is throttled: more concurrency is needed`,
      when: BAD_MINUTES,
    },
  ])
}

function pipelineRules({ checkpoints, storage, givenUp }: Watched): Rule[] {
  const { log, state, deadLetters } = storage
  const tables = Object.entries({ log, state }).map(([name, table]) => ({
    id: `Throttles-${name} table`,
    metric: throttledWrites(table, name),
    above: 0,
    says: `The ${name} table refuses writes for lack of capacity`,
    when: BAD_MINUTES,
  }))
  const checkpoint = {
    id: 'Checkpoints',
    metric: failedCheckpoints(checkpoints),
    above: 0,
    says: 'A checkpoint failed: the one before stands; the execution names the subtasks that did not ack',
    when: ONCE,
  }
  const poison = {
    id: 'GivenUp',
    metric: givenUp,
    above: 0,
    says: 'A record was given up after several tries: dead-letters/ in the bucket has it, with the reason',
    when: ONCE,
  }
  if (!isQueue(deadLetters)) return [...tables, checkpoint, poison]
  const unhanded = {
    id: 'DeadLetters',
    metric: deadLetters.metricApproximateNumberOfMessagesVisible({ period: PERIOD }),
    above: 0,
    says: 'Records could not be handed to a stage: the dead-letter queue says which',
    when: ONCE,
  }
  return [...tables, checkpoint, poison, unhanded]
}
