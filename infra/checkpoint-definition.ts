import { RETRYABLE } from '../runtime/aws/retryable.ts'
import { PARTITION_KEY, SORT_KEY } from '../runtime/aws/row.ts'

/** What the controller calls; names and ARNs, which may be tokens. */
export interface Controlled {
  readonly logTable: string
  readonly checkpoint: string
  readonly materialise: string
  /** By source stage. */
  readonly cuts: Readonly<Record<string, string>>
  /** A checkpoint that is not through after this has failed. */
  readonly timeoutSeconds: number
  /** For which a stage behind a shuffle may have a barrier wait for its batch: the longest. */
  readonly windowSeconds: number
  /** From one start to the next, if that is less than the minute that EventBridge Scheduler can do: then each execution starts the next one, as long as something flows. */
  readonly everySeconds: number | undefined
}

type State = Readonly<Record<string, unknown>>

/** Row of the log table; no log has this name. The only one that the controller itself touches. */
export const LOCK = 'checkpoint-lock'
const LOCK_KEY = { [PARTITION_KEY]: { S: LOCK }, [SORT_KEY]: { S: 'lock' } }

/**
 * A barrier takes a second or so for each hop; where mappings wait for larger batches, as long as they do, so that the first look is behind that. Each wait after it is half as long as all before it, up to
 * the time-out: a look costs three transitions.
 */
function wait({ timeoutSeconds, windowSeconds }: Controlled): string {
  const [since, left] = ['($millis() - $begun)', `($begun + ${timeoutSeconds * 1000} - $millis())`]
  const first = `${windowSeconds + 1} - $floor(${since} / 1000)`
  return `{% $max([1, $min([$max([${first}, $floor(${since} / 2000)]), $ceil(${left} / 1000)])]) %}`
}
const CONCURRENCY_MAX = 40
/** An execution that is still there after this is stopped; retries and all, none takes as long. */
const EXECUTION_SECONDS_MAX = 3600
const CAUSE_CHARS_MAX = 2000
/** A chain of executions goes on for so long without hearing from the schedule, which comes each minute, give or take one. */
const CHAIN_SECONDS = 150

const RETRY = [{ ErrorEquals: RETRYABLE, IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: 5, JitterStrategy: 'FULL' }]
const RETRY_TABLE = [{ ErrorEquals: ['States.ALL'], IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: 5, JitterStrategy: 'FULL' }]

const REASON = `{% $substring($states.errorOutput.Error & ': ' & $states.errorOutput.Cause, 0, ${CAUSE_CHARS_MAX}) %}`
/**
 * In an object, and never a variable of its own: LocalStack writes a variable that is a string into each later expression between quotes as it is, and a Lambda's cause is JSON. No
 * variable here holds text that others wrote.
 */
const failedBy = (reason: string) => ({ failure: { reason } })
/** Whatever goes wrong ends as a failed checkpoint, whose reason is on record. */
const giveUp = (next: string) => [{ ErrorEquals: ['States.ALL'], Assign: failedBy(REASON), Next: next }]

/**
 * The checkpoint controller (design.md, 7), in Amazon States Language: one execution is one checkpoint.
 *
 *     Lock → Start → Cut, each source stage → Wait and collect until all are through → Materialise, each subtask with state → Complete → Unlock
 *
 * Nothing depends on the lock but economy: all steps can be repeated, and who decides first has decided (protocol.md, D6). An execution that was stopped can't
 * unlock, so that a lock counts as long as its owner runs.
 */
export function checkpointDefinition(controlled: Controlled): object {
  return {
    Comment: 'Takes a checkpoint of a Millrace pipeline, unless one is being taken or nothing flowed since the last one.',
    QueryLanguage: 'JSONata',
    TimeoutSeconds: EXECUTION_SECONDS_MAX,
    StartAt: 'Lock',
    States: { ...lockStates(controlled), ...checkpointStates(controlled), ...endStates(controlled) },
  }
}

const MY_ARN = '{% $states.context.Execution.Id %}'
/** The schedule's executions have it in their input, those that somebody starts don't. */
const REPEATS = '$exists($states.context.Execution.Input.repeat) and $states.context.Execution.Input.repeat'
const FAR = `$fromMillis($millis() + ${CHAIN_SECONDS * 1000})`
/** False where the first step failed. */
const NOTHING = '$exists($start.nothing) and $start.nothing'
const UNTIL = `{% $exists($states.context.Execution.Input.until) ? $states.context.Execution.Input.until : ${FAR} %}`

function lockStates({ logTable, everySeconds }: Controlled): Record<string, State> {
  return {
    Lock: table('putItem', 'Start', {
      Arguments: {
        TableName: logTable,
        Item: { ...LOCK_KEY, owner: { S: MY_ARN } },
        ConditionExpression: `attribute_not_exists(${PARTITION_KEY})`,
      },
      Assign: { ...failedBy(''), begun: '{% $millis() %}', until: UNTIL },
      otherwise: 'Locked',
    }),
    Locked: table('getItem', 'Is there a lock', {
      Arguments: { TableName: logTable, Key: LOCK_KEY, ConsistentRead: true },
      Assign: { owner: "{% $exists($states.result.Item.owner) ? $states.result.Item.owner.S : '' %}" },
    }),
    'Is there a lock': choice([["$owner = ''", 'Lock']], 'Look at the owner'),
    'Look at the owner': {
      Type: 'Task',
      Resource: 'arn:aws:states:::aws-sdk:sfn:describeExecution',
      Arguments: { ExecutionArn: '{% $owner %}' },
      Assign: { status: '{% $states.result.Status %}' },
      Catch: [{ ErrorEquals: ['Sfn.ExecutionDoesNotExistException'], Assign: { status: 'GONE' }, Next: 'Does it run' }],
      Next: 'Does it run',
    },
    'Does it run': choice([["$status = 'RUNNING'", everySeconds === undefined ? 'Busy' : 'Prolong']], 'Take the lock away'),
    'Take the lock away': table('deleteItem', 'Lock', {
      Arguments: { TableName: logTable, Key: LOCK_KEY, ...ownedBy('{% $owner %}') },
      otherwise: 'Busy',
    }),
    // Whoever asked may wait for the other, or, where each is followed by a next one, for that.
    Busy: { Type: 'Succeed', Output: { outcome: 'busy', everySeconds: everySeconds ?? 0 } },
    ...(everySeconds !== undefined && {
      // The schedule lives, so the chain that holds the lock goes on.
      Prolong: choice([[`$not(${REPEATS})`, 'Busy']], 'Let it go on'),
      'Let it go on': table('updateItem', 'Busy', {
        Arguments: {
          TableName: logTable,
          Key: LOCK_KEY,
          UpdateExpression: 'SET #until = :until',
          ConditionExpression: `attribute_exists(${PARTITION_KEY})`,
          ExpressionAttributeNames: { '#until': 'until' },
          ExpressionAttributeValues: { ':until': { S: `{% ${FAR} %}` } },
        },
        otherwise: 'Busy',
      }),
    }),
  }
}

function checkpointStates(controlled: Controlled): Record<string, State> {
  const { checkpoint, materialise, cuts, timeoutSeconds } = controlled
  const end = endOf(controlled)
  const payload = '{% $states.result.Payload %}'
  return {
    Start: invoke(
      checkpoint,
      { step: 'start', scheduled: `{% ${REPEATS} %}` },
      'Did anything flow',
      { Assign: { start: payload, materialised: [] } },
      end,
    ),
    'Did anything flow': choice([[NOTHING, end]], 'Cut'),
    Cut: each(
      '{% $start.sources %}',
      'Wait for acks',
      {},
      {
        Cut: invoke(`{% $lookup(${JSON.stringify(cuts)}, $states.input.stage) %}`, {
          shards: '{% $states.input.shards %}',
          checkpoint: '{% $start.checkpoint %}',
        }),
      },
    ),
    Collect: invoke(checkpoint, { step: 'collect', start: '{% $start %}' }, 'Is everyone through', {
      Assign: { collected: payload },
    }),
    'Is everyone through': choice(
      [
        ['$count($collected.missing) = 0 and $count($collected.parts) = 0', 'Complete'],
        ['$count($collected.missing) = 0', 'Materialise'],
        ['$exists($collected.never)', 'Never'],
        [`$millis() > $begun + ${timeoutSeconds * 1000}`, 'Too late'],
      ],
      'Wait for acks',
    ),
    'Wait for acks': { Type: 'Wait', Seconds: wait(controlled), Next: 'Collect' },
    'Too late': {
      Type: 'Pass',
      Assign: failedBy(`{% 'no ack within ${timeoutSeconds} s from ' & $join($collected.missing, ', ') %}`),
      Next: 'Fail',
    },
    // Its shard took over from others while the barriers were on their way.
    Never: {
      Type: 'Pass',
      Assign: failedBy("{% $join($collected.never, ', ') & ' took over while barriers were on their way' %}"),
      Next: 'Fail',
    },
    Materialise: each(
      '{% $collected.parts %}',
      'Complete',
      { Assign: { materialised: '{% $states.result %}' } },
      {
        Fold: invoke(materialise, { start: '{% $start %}', part: '{% $states.input %}' }),
      },
    ),
    Complete: invoke(checkpoint, { step: 'complete', start: '{% $start %}', materialised: '{% $materialised %}' }, end, {
      Assign: failedBy(DECIDED_BEFORE),
    }),
    // Nobody acts on a checkpoint that is not decided: without this the next one could not begin.
    Fail: invoke(
      checkpoint,
      {
        step: 'fail',
        start: '{% $start %}',
        missing: '{% $exists($collected.missing) ? $collected.missing : [] %}',
        never: '{% $exists($collected.never) ? $collected.never : [] %}',
        reason: '{% $failure.reason %}',
      },
      end,
      {},
      end,
    ),
  }
}

/** Every state costs as much as 40 write units: there is none that only joins ways. */
const endOf = ({ everySeconds }: Controlled) => (everySeconds === undefined ? 'Unlock' : 'Ended')
/** By somebody else: then what was done here is not what counts. */
const DECIDED_BEFORE =
  "{% $states.result.Payload.outcome = 'complete' ? '' : 'decided before: ' & $states.result.Payload.outcome %}"
/** For whoever asked for the checkpoint. */
const OUTCOME =
  "{% $exists($start.nothing) ? {'outcome': 'nothing'} : {'outcome': 'complete', 'checkpoint': $start.checkpoint} %}"

function endStates({ logTable, everySeconds }: Controlled): Record<string, State> {
  const outcome = {
    'Did it fail': choice([["$failure.reason = ''", 'Done']], 'Failed'),
    Done: { Type: 'Succeed', Output: OUTCOME },
  }
  const failed = { Failed: { Type: 'Fail', Error: 'CheckpointFailed', Cause: '{% $failure.reason %}' } }
  const next = everySeconds === undefined ? 'Did it fail' : 'Does the chain go on'
  const unlock = table('deleteItem', next, {
    Arguments: { TableName: logTable, Key: LOCK_KEY, ...ownedBy(MY_ARN), ReturnValues: 'ALL_OLD' },
    ...(everySeconds !== undefined && {
      Assign: { until: '{% $exists($states.result.Attributes.until) ? $states.result.Attributes.until.S : $until %}' },
    }),
    otherwise: 'Did it fail',
  })
  if (everySeconds === undefined) return { Unlock: unlock, ...outcome, ...failed }
  return {
    // A chain ends where nothing flowed: the schedule begins another when something did.
    Ended: choice(
      [
        [NOTHING, 'Unlock'],
        [REPEATS, 'Wait for the next'],
      ],
      'Unlock',
    ),
    // It keeps the lock meanwhile: there is one chain.
    'Wait for the next': {
      Type: 'Wait',
      Seconds: `{% $max([0, $ceil(($begun + ${everySeconds * 1000} - $millis()) / 1000)]) %}`,
      Next: 'Unlock',
    },
    Unlock: unlock,
    'Does the chain go on': choice(
      [
        [NOTHING, 'Did it fail'],
        [`${REPEATS} and $now() < $until`, 'Start the next'],
      ],
      'Did it fail',
    ),
    'Start the next': {
      Type: 'Task',
      Resource: 'arn:aws:states:::states:startExecution',
      Arguments: {
        StateMachineArn: '{% $states.context.StateMachine.Id %}',
        Input: { repeat: true, until: '{% $until %}' },
      },
      // The schedule begins another chain.
      Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Did it fail' }],
      Next: 'Did it fail',
    },
    ...outcome,
    ...failed,
  }
}

/** Calls a function. `failure`: where an error leads; none inside of a Map, whose own it becomes. */
function invoke(FunctionName: string, Payload: object, next?: string, more: State = {}, failure = 'Fail'): State {
  return {
    Type: 'Task',
    Resource: 'arn:aws:states:::lambda:invoke',
    Arguments: { FunctionName, Payload },
    Output: '{% $states.result.Payload %}',
    Retry: RETRY,
    ...more,
    ...(next === undefined ? { End: true } : { Catch: giveUp(failure), Next: next }),
  }
}

function each(Items: string, next: string, more: State, states: Record<string, State>): State {
  const [StartAt] = Object.keys(states)
  return {
    Type: 'Map',
    Items,
    MaxConcurrency: CONCURRENCY_MAX,
    ItemProcessor: { ProcessorConfig: { Mode: 'INLINE' }, StartAt, States: states },
    ...more,
    Catch: giveUp('Fail'),
    Next: next,
  }
}

/** A call to the log table. `otherwise`: where it leads when the condition does not hold. */
function table(action: string, next: string, { otherwise, ...call }: State): State {
  const refused = ['DynamoDB.ConditionalCheckFailedException']
  return {
    Type: 'Task',
    Resource: `arn:aws:states:::dynamodb:${action}`,
    ...call,
    Retry: [{ ErrorEquals: refused, MaxAttempts: 0 }, ...RETRY_TABLE],
    ...(otherwise !== undefined && { Catch: [{ ErrorEquals: refused, Next: otherwise }] }),
    Next: next,
  }
}

function choice(rules: readonly (readonly [condition: string, next: string])[], otherwise: string): State {
  return {
    Type: 'Choice',
    Choices: rules.map(([condition, Next]) => ({ Condition: `{% ${condition} %}`, Next })),
    Default: otherwise,
  }
}

function ownedBy(execution: string): State {
  return {
    ConditionExpression: '#owner = :owner',
    ExpressionAttributeNames: { '#owner': 'owner' },
    ExpressionAttributeValues: { ':owner': { S: execution } },
  }
}
