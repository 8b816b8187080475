import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch'
import type { Construct } from 'constructs'
import { isQueue } from './failures.ts'
import {
  droppedCalls,
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

/** Each of one stage, stream or table, so that the name of the alarm says where to look. */
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

/** Those of stages. What ails the functions that take checkpoints is told by the failed checkpoint, with its reason: each alarm costs money, idle or not. */
function functionRules({ functions }: Watched): Rule[] {
  const failing = (name: string) => ({
    id: `Errors-${name}`,
    metric: functions[name]!.metricErrors({ period: PERIOD }),
    above: FUNCTION_ERRORS_MAX,
    says: `${name} fails again and again`,
    when: BAD_MINUTES,
  })
  const throttled = (name: string) => ({
    id: `Throttles-${name}`,
    metric: functions[name]!.metricThrottles({ period: PERIOD }),
    above: 0,
    says: `${name} is throttled: more concurrency is needed`,
    when: BAD_MINUTES,
  })
  return Object.keys(functions).flatMap(name => (name.startsWith('stage ') ? [failing(name), throttled(name)] : []))
}

function pipelineRules({ checkpoints, checkpoint, storage, givenUp }: Watched): Rule[] {
  const { log, state, deadLetters } = storage
  const tables = Object.entries({ log, state }).map(([name, table]) => ({
    id: `Throttles-${name} table`,
    metric: throttledWrites(table, name),
    above: 0,
    says: `The ${name} table refuses writes for lack of capacity`,
    when: BAD_MINUTES,
  }))
  const looks = {
    id: 'Looks',
    metric: droppedCalls(checkpoint),
    above: 0,
    says: 'Nobody could look whether a checkpoint is due, in several tries: the log of the checkpoint function says why',
    when: ONCE,
  }
  const failed = {
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
  if (!isQueue(deadLetters)) return [...tables, looks, failed, poison]
  const unhanded = {
    id: 'DeadLetters',
    metric: deadLetters.metricApproximateNumberOfMessagesVisible({ period: PERIOD }),
    above: 0,
    says: 'Records could not be handed to a stage: the dead-letter queue says which',
    when: ONCE,
  }
  return [...tables, looks, failed, poison, unhanded]
}
