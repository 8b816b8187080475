import { ArnFormat, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler'
import { CustomerManagedEncryptionConfiguration, DefinitionBody, StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import type { Construct } from 'constructs'
import type { LookEvent } from '../runtime/aws/functions/look.ts'
import { acknowledge, acknowledgeWildcard } from './acknowledge.ts'
import { checkpointDefinition, LOCK } from './checkpoint-definition.ts'
import { InfraError } from './error.ts'
import { allow } from './grants.ts'
import { checkDuration } from './stage-options.ts'

const INTERVAL = Duration.minutes(1)
const TIMEOUT = Duration.minutes(2)
const MINUTE_MS = 60_000
/** Two more tries, after one minute and two. */
const LOOK_AGE_MAX = Duration.minutes(5)
/** An execution has 25,000 events, some of them for each subtask. */
const TIMEOUT_SECONDS_MAX = 900

export interface CheckpointFunctions {
  readonly checkpoint: IFunction
  readonly materialise: IFunction
  /** By source stage. */
  readonly cuts: Readonly<Record<string, IFunction>>
}

/** The checkpoint controller and what starts it. */
export function makeCheckpoints(
  scope: Construct,
  prefix: string,
  functions: CheckpointFunctions,
  log: ITable,
  options: {
    readonly interval?: Duration
    readonly timeout?: Duration
    /** The longest of the stages that read streams of their own. */
    readonly windowSeconds: number
    readonly key: IKey | undefined
    readonly inVpc: boolean
  },
): { readonly machine: StateMachine; readonly schedule: CfnSchedule } {
  const interval = options.interval ?? INTERVAL
  checkInterval(interval)
  checkDuration('checkpointTimeout', options.timeout, 1, TIMEOUT_SECONDS_MAX)
  const everySeconds = interval.toMilliseconds() < MINUTE_MS ? interval.toSeconds() : undefined
  const stateMachineName = `${prefix}-checkpoints`
  const definition = checkpointDefinition({
    logTable: log.tableName,
    checkpoint: functions.checkpoint.functionArn,
    materialise: functions.materialise.functionArn,
    cuts: Object.fromEntries(Object.entries(functions.cuts).map(([stage, cut]) => [stage, cut.functionArn])),
    timeoutSeconds: (options.timeout ?? TIMEOUT).toSeconds(),
    windowSeconds: options.windowSeconds,
    everySeconds,
  })
  const machine = new StateMachine(scope, 'Checkpoints', {
    stateMachineName,
    role: controllerRole(scope, stateMachineName, functions, log, options.key, everySeconds !== undefined),
    definitionBody: DefinitionBody.fromString(Stack.of(scope).toJsonString(definition)),
    encryptionConfiguration: options.key && new CustomerManagedEncryptionConfiguration(options.key),
    removalPolicy: RemovalPolicy.DESTROY,
  })
  acknowledge(machine, {
    'AwsSolutions-SF1':
      'Step Functions keeps the whole history of each execution for 90 days. Sending it to a log as well takes rights on all log deliveries of the account.',
    'AwsSolutions-SF2': 'The history has the times of each step. X-Ray takes rights that can not be limited to this pipeline.',
  })
  if (!options.inVpc) allowStarting(functions.checkpoint, machineArn(scope, stateMachineName))
  const chain = everySeconds !== undefined
  const called = options.inVpc ? { machine } : { machine, look: functions.checkpoint }
  return { machine, schedule: makeSchedule(scope, called, { interval: chain ? INTERVAL : interval, chain }) }
}

function checkInterval(interval: Duration): void {
  const ms = interval.toMilliseconds()
  if (ms < 1000 || (ms < MINUTE_MS ? ms % 1000 : ms % MINUTE_MS) !== 0)
    throw new InfraError(
      `checkpointInterval: ${interval.toHumanString()} is neither whole seconds below a minute nor whole minutes, which is what EventBridge Scheduler can do`,
    )
}

/** By name: the state machine itself waits for the function. */
function machineArn(scope: Construct, resourceName: string): string {
  return Stack.of(scope).formatArn({
    service: 'states',
    resource: 'stateMachine',
    resourceName,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
}

/** For the schedule's look. It is tried again two times, as each time of the schedule starts one execution at most; then it is dropped, and an alarm tells. */
function allowStarting(checkpoint: IFunction, machine: string): void {
  allow(checkpoint, ['states:ListExecutions', 'states:StartExecution'], [machine])
  checkpoint.configureAsyncInvoke({ maxEventAge: LOOK_AGE_MAX, retryAttempts: 2 })
}

function controllerRole(
  scope: Construct,
  stateMachineName: string,
  { checkpoint, materialise, cuts }: CheckpointFunctions,
  log: ITable,
  key: IKey | undefined,
  restarts: boolean,
): Role {
  const role = new Role(scope, 'CheckpointsRole', {
    assumedBy: new ServicePrincipal('states.amazonaws.com'),
    description: 'Takes checkpoints',
  })
  role.addToPolicy(
    new PolicyStatement({
      actions: ['lambda:InvokeFunction'],
      resources: [checkpoint, materialise, ...Object.values(cuts)].map(({ functionArn }) => functionArn),
    }),
  )
  role.addToPolicy(
    new PolicyStatement({
      actions: ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem'].map(action => `dynamodb:${action}`),
      resources: [log.tableArn],
      // The lock, and no log.
      conditions: { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': [LOCK] } },
    }),
  )
  const executions = Stack.of(scope).formatArn({
    service: 'states',
    resource: 'execution',
    resourceName: `${stateMachineName}:*`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
  role.addToPolicy(new PolicyStatement({ actions: ['states:DescribeExecution'], resources: [executions] }))
  if (restarts)
    role.addToPolicy(
      new PolicyStatement({ actions: ['states:StartExecution'], resources: [machineArn(scope, stateMachineName)] }),
    )
  if (key !== undefined)
    role.addToPolicy(new PolicyStatement({ actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: [key.keyArn] }))
  acknowledgeWildcard(role, executions, 'Executions of this state machine: their names are not known before they run.')
  return role
}

/**
 * It calls the function that looks whether anything flowed, which then starts an execution: one that found nothing would cost seven transitions, each minute of an idle month. From a VPC that function would need a
 * way to Step Functions, and an endpoint costs as much: there the schedule starts the execution, whose first step looks. No `look`: that is so.
 */
function makeSchedule(
  scope: Construct,
  { machine, look }: { readonly machine: StateMachine; readonly look?: IFunction },
  { interval, chain }: { readonly interval: Duration; readonly chain: boolean },
): CfnSchedule {
  const role = new Role(scope, 'ScheduleRole', {
    assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } },
    }),
    description: look === undefined ? 'Starts checkpoints' : 'Looks whether a checkpoint is due',
  })
  const call =
    look === undefined
      ? { action: 'states:StartExecution', arn: machine.stateMachineArn, input: { repeat: true } }
      : { action: 'lambda:InvokeFunction', arn: look.functionArn, input: lookEvent(machine, chain) }
  role.addToPolicy(new PolicyStatement({ actions: [call.action], resources: [call.arn] }))
  const minutes = interval.toMinutes()
  const schedule = new CfnSchedule(scope, 'Schedule', {
    description: 'Checkpoints',
    scheduleExpression: minutes === 1 ? 'rate(1 minute)' : `rate(${minutes} minutes)`,
    flexibleTimeWindow: { mode: 'OFF' },
    target: {
      arn: call.arn,
      roleArn: role.roleArn,
      input: Stack.of(scope).toJsonString(call.input),
      // The next one comes soon enough.
      retryPolicy: { maximumRetryAttempts: 0 },
    },
  })
  schedule.node.addDependency(role)
  return schedule
}

function lookEvent({ stateMachineArn: machine }: StateMachine, chain: boolean): LookEvent {
  return { step: 'look', machine, chain, at: '<aws.scheduler.scheduled-time>' }
}
