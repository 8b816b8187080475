import { ArnFormat, RemovalPolicy, Size, Stack } from 'aws-cdk-lib'
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import { CustomerManagedEncryptionConfiguration, DefinitionBody, StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import type { Construct } from 'constructs'
import { backfillOf } from '../runtime/batch/stored/names.ts'
import type { PhysicalStage } from '../runtime/graph/plan.ts'
import { acknowledge, acknowledgeWildcard } from './acknowledge.ts'
import { backfillDefinition } from './backfill-definition.ts'
import { BACKFILL_FUNCTIONS, functionsCode } from './bundle.ts'
import { InfraError } from './error.ts'
import { type FunctionDefaults, makeFunction, TIMEOUT_MAX } from './functions.ts'
import { allow, grantKeys } from './grants.ts'
import type { BackfillProps } from './props.ts'
import { checkNumber, MEMORY_MB_RANGE, type StageOptions } from './stage-options.ts'
import type { Storage } from './storage.ts'

/** State that has left memory, what is sorted, and what waits to be kept: all that Lambda gives. It costs a hundredth of the function. */
const DISK = Size.gibibytes(10)
const BELOW = backfillOf('')

export interface Backfilled {
  readonly pipeline: string
  readonly entry: string
  readonly stages: readonly { readonly stage: PhysicalStage; readonly handler: LambdaFunction; readonly options: StageOptions }[]
  readonly storage: Storage
}

/**
 * What runs backfills: for each stage a function beside the one of the stream, with its role, so that user code may do here what it may there, and with the time and disk that a task takes; and the
 * state machine that calls them.
 */
export function makeBackfill(
  scope: Construct,
  prefix: string,
  defaults: FunctionDefaults,
  { archives, memorySize }: BackfillProps,
  { pipeline, entry, stages, storage }: Backfilled,
): { readonly machine: StateMachine; readonly functions: Readonly<Record<string, LambdaFunction>> } {
  if (archives.length === 0) throw new InfraError('backfill.archives is empty: name the buckets that may be read')
  checkNumber('backfill.memorySize', memorySize, ...MEMORY_MB_RANGE)
  const code = functionsCode(entry, BACKFILL_FUNCTIONS)
  const functions = stages.map(({ stage, handler, options }) => {
    const made = makeFunction(
      scope,
      `Backfill-${stage.id}`,
      { ...defaults, code },
      {
        entry: 'backfill',
        description: `Millrace ${pipeline}: backfill of stage ${stage.id}`,
        memorySize: memorySize ?? options.memorySize,
        timeout: TIMEOUT_MAX,
        environment: { MILLRACE_STAGE: stage.id },
        role: handler.role!,
        ephemeralStorageSize: DISK,
      },
    )
    const own = storage.bucket.arnForObjects(`${BELOW}*`)
    allow(made, ['s3:DeleteObject'], [own])
    acknowledgeWildcard(made.role!, own, 'What tasks of a backfill leave for each other, by run and task.')
    if (stage.source !== undefined) for (const archive of archives) grantArchive(made, archive)
    return [stage.id, made] as const
  })
  const machine = makeMachine(scope, `${prefix}-backfill`, Object.fromEntries(functions), storage)
  return { machine, functions: Object.fromEntries(functions) }
}

function grantArchive(to: LambdaFunction, { bucket, prefix = '' }: BackfillProps['archives'][number]): void {
  const objects = bucket.arnForObjects(`${prefix}*`)
  allow(to, ['s3:GetObject'], [objects])
  acknowledgeWildcard(to.role!, objects, 'The archive of a backfill.')
  grantKeys(to, [bucket.encryptionKey])
}

function makeMachine(
  scope: Construct,
  stateMachineName: string,
  functions: Readonly<Record<string, LambdaFunction>>,
  { bucket, key }: Storage,
): StateMachine {
  const arns = Object.fromEntries(Object.entries(functions).map(([stage, { functionArn }]) => [stage, functionArn]))
  const role = new Role(scope, 'BackfillRole', {
    assumedBy: new ServicePrincipal('states.amazonaws.com'),
    description: 'Runs backfills',
  })
  const may = (actions: string[], resources: string[]) => role.addToPolicy(new PolicyStatement({ actions, resources }))
  may(['lambda:InvokeFunction'], Object.values(arns))
  const lists = bucket.arnForObjects(`${BELOW}*`)
  may(['s3:GetObject'], [lists])
  acknowledgeWildcard(role, lists, 'Lists of tasks, by run.')
  // A Distributed Map starts executions of its own machine.
  const part = (resource: string, resourceName: string) =>
    Stack.of(scope).formatArn({ service: 'states', resource, resourceName, arnFormat: ArnFormat.COLON_RESOURCE_NAME })
  may(['states:StartExecution'], [part('stateMachine', stateMachineName)])
  const executions = part('execution', `${stateMachineName}*`)
  may(['states:DescribeExecution', 'states:StopExecution'], [executions])
  acknowledgeWildcard(role, executions, 'Executions of this state machine: their names are not known before they run.')
  if (key !== undefined) may(['kms:Decrypt', 'kms:GenerateDataKey'], [key.keyArn])
  const bucketKey = bucket.encryptionKey
  if (bucketKey !== undefined && bucketKey !== key) may(['kms:Decrypt'], [bucketKey.keyArn])
  const machine = new StateMachine(scope, 'Backfill', {
    stateMachineName,
    role,
    definitionBody: DefinitionBody.fromString(
      Stack.of(scope).toJsonString(backfillDefinition({ bucket: bucket.bucketName, functions: arns })),
    ),
    encryptionConfiguration: key && new CustomerManagedEncryptionConfiguration(key),
    removalPolicy: RemovalPolicy.DESTROY,
  })
  acknowledge(machine, {
    'AwsSolutions-SF1':
      'Step Functions keeps the whole history of each execution for 90 days. Sending it to a log as well takes rights on all log deliveries of the account.',
    'AwsSolutions-SF2': 'The history has the times of each step. X-Ray takes rights that can not be limited to this pipeline.',
  })
  return machine
}
