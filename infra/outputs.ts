import { CfnOutput, Stack } from 'aws-cdk-lib'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { CfnEventSourceMapping, IFunction } from 'aws-cdk-lib/aws-lambda'
import type { IQueue } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import type { SourceSetting } from '../runtime/aws/functions/settings.ts'
import { failureArn } from './failures.ts'
import type { Storage } from './storage.ts'

export interface Named {
  readonly pipeline: string
  readonly prefix: string
  readonly storage: Storage
  readonly checkpoints: string
  readonly schedule: string
  readonly checkpoint: IFunction
  readonly materialise: IFunction
  readonly dashboard: string
  readonly backfill: { readonly machine: string; readonly functions: Readonly<Record<string, IFunction>> } | undefined
  readonly stages: Readonly<
    Record<
      string,
      {
        readonly handler: IFunction
        readonly cut?: IFunction
        readonly reads: SourceSetting['kind']
        readonly stream: IStream | undefined
        readonly queue?: IQueue
        readonly mapping: CfnEventSourceMapping
      }
    >
  >
}

/** What the stack is made of, by name: `<path of the construct>Prefix` and so on. `millrace … --stack NAME` goes by these (runtime/cli/stack). */
export function makeOutputs(scope: Construct, named: Named): void {
  const stack = Stack.of(scope)
  const path = scope.node.path.slice(stack.node.path.length).replace(/[^A-Za-z0-9]/g, '')
  const { log, state, bucket, deadLetters } = named.storage
  const stages = Object.entries(named.stages).map(([id, { handler, cut, reads, stream, queue, mapping }]) => [
    id,
    {
      function: handler.functionName,
      cut: cut?.functionName,
      reads,
      stream: stream?.streamName,
      queue: queue?.queueUrl,
      mapping: mapping.ref,
    },
  ])
  const outputs: Record<string, readonly [value: string, description: string]> = {
    Pipeline: [named.pipeline, 'Millrace: the name of the pipeline'],
    Prefix: [named.prefix, "Millrace: what the names of the stages' streams begin with"],
    LogTable: [log.tableName, 'Millrace: commits of all subtasks'],
    StateTable: [state.tableName, 'Millrace: state as of the last checkpoint'],
    Bucket: [bucket.bucketName, 'Millrace: checkpoints, large changes, and records that were given up'],
    DeadLetters: [failureArn(deadLetters), 'Millrace: where records are reported that could not be handed to a stage'],
    Checkpoints: [named.checkpoints, 'Millrace: the state machine that takes checkpoints'],
    Schedule: [named.schedule, 'Millrace: the schedule that starts them'],
    Functions: [
      stack.toJsonString({ checkpoint: named.checkpoint.functionName, materialise: named.materialise.functionName }),
      "Millrace: the checkpoints' functions",
    ],
    Stages: [stack.toJsonString(Object.fromEntries(stages)), 'Millrace: by stage, its function, stream and event source mapping'],
    Dashboard: [named.dashboard, 'Millrace: the dashboard in CloudWatch'],
    ...(named.backfill && {
      Backfill: [
        stack.toJsonString({ machine: named.backfill.machine, functions: namesOf(named.backfill.functions) }),
        'Millrace: the state machine that runs backfills, and its functions by stage',
      ],
    }),
  }
  for (const [name, [value, description]] of Object.entries(outputs))
    new CfnOutput(scope, `Output${name}`, { value, description }).overrideLogicalId(`${path}${name}`)
}

function namesOf(functions: Readonly<Record<string, IFunction>>): Record<string, string> {
  return Object.fromEntries(Object.entries(functions).map(([stage, { functionName }]) => [stage, functionName]))
}
