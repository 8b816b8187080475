import { RETRYABLE } from '../runtime/aws/retryable.ts'

export interface BackfillDefinition {
  readonly bucket: string
  /** ARNs of the functions, by stage. */
  readonly functions: Readonly<Record<string, string>>
}

type State = Readonly<Record<string, unknown>>

/** Longer than a function may take: where Lambda forgets to answer. */
const CALL_SECONDS_MAX = 930
const RETRY = [
  { ErrorEquals: RETRYABLE, IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: 8, MaxDelaySeconds: 60, JitterStrategy: 'FULL' },
]

/**
 * A backfill, in Amazon States Language: one execution runs the tasks of one, wave by wave. The command has written a list for each wave (runtime/cli/stack/backfill/waves.ts): tasks that need nothing of each other, at most as many as
 * the answers of a Distributed Map may hold.
 *
 *     Is there another wave → Wave: each task, called until it is through → Is there another wave …
 */
export function backfillDefinition({ bucket, functions }: BackfillDefinition): object {
  return {
    Comment: 'Runs a Millrace pipeline over archives.',
    QueryLanguage: 'JSONata',
    StartAt: 'Begin',
    States: {
      Begin: {
        Type: 'Pass',
        Assign: {
          wave: 0,
          run: '{% $states.input.run %}',
          waves: '{% $states.input.waves %}',
          concurrency: '{% $states.input.concurrency %}',
        },
        Next: 'Is there another wave',
      },
      'Is there another wave': {
        Type: 'Choice',
        Choices: [{ Condition: '{% $wave < $waves %}', Next: 'Wave' }],
        Default: 'Done',
      },
      Wave: {
        Type: 'Map',
        ItemReader: {
          Resource: 'arn:aws:states:::s3:getObject',
          ReaderConfig: { InputType: 'JSON' },
          Arguments: { Bucket: bucket, Key: "{% 'backfill/' & $run & '/waves/' & $string($wave) & '.json' %}" },
        },
        MaxConcurrency: '{% $concurrency %}',
        ItemProcessor: {
          ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
          StartAt: 'Task',
          States: taskStates(functions),
        },
        Assign: { wave: '{% $wave + 1 %}' },
        Output: {},
        Next: 'Is there another wave',
      },
      Done: { Type: 'Succeed', Output: {} },
    },
  }
}

/** Of one task. One that has more to do than one call can is called again. */
function taskStates(functions: Readonly<Record<string, string>>): Record<string, State> {
  return {
    Task: {
      Type: 'Task',
      Resource: 'arn:aws:states:::lambda:invoke',
      Arguments: {
        FunctionName: `{% $lookup(${JSON.stringify(functions)}, $states.input.stage) %}`,
        Payload: '{% $states.input %}',
      },
      TimeoutSeconds: CALL_SECONDS_MAX,
      Retry: RETRY,
      Assign: { through: '{% $states.result.Payload.through %}' },
      Output: '{% $states.input %}',
      Next: 'Is it through',
    },
    'Is it through': { Type: 'Choice', Choices: [{ Condition: '{% $through %}', Next: 'Through' }], Default: 'Task' },
    // What many tasks answer has to fit in one payload.
    Through: { Type: 'Succeed', Output: 0 },
  }
}
