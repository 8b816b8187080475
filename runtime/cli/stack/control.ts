import type { UpdateScheduleCommandInput } from '@aws-sdk/client-scheduler'
import { caller } from '../../aws/call.ts'
import { isNamed } from '../../aws/classify.ts'
import { meters } from '../../aws/meter.ts'
import { systemClock, systemRandom } from '../../embedded/clock.ts'
import { MillraceError } from '../../errors.ts'
import { type Lag, lagMetric } from './lag.ts'
import { checkEndpoints, installed, once, withRegion } from './sdk.ts'
import type { StackStage } from './stack.ts'

export interface NamedExecution {
  readonly status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE'
  /** Why, of one that failed. */
  readonly cause: string | undefined
}

export interface Execution {
  readonly status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE'
  /** Of one that succeeded: as infra/checkpoint-definition.ts has it. */
  readonly output?: {
    readonly outcome: 'complete' | 'nothing' | 'busy'
    readonly checkpoint?: number
    readonly everySeconds?: number
  }
  readonly cause?: string
  /** The schedule began it, or the one before it did: a link of a chain, where there are chains. */
  readonly repeats?: boolean
}

/** What the commands ask of AWS beside the ports. */
export interface Control {
  /** Undefined: there is no such stack. */
  outputs(stack: string): Promise<Readonly<Record<string, string>> | undefined>
  /** `startedAt`: epoch ms, by AWS's clock. */
  startExecution(machine: string): Promise<{ readonly arn: string; readonly startedAt: number }>
  execution(arn: string): Promise<Execution>
  /** ARNs of the executions that began after that, newest first. */
  executionsAfter(machine: string, startedAt: number): Promise<readonly string[]>
  /** ARNs of those that run now, as far as Step Functions has heard. */
  runningExecutions(machine: string): Promise<readonly string[]>
  /** Of one that has ended by then: nothing. */
  stopExecution(arn: string, cause?: string): Promise<void>
  /** Switches a schedule on or off; one that is as it should be is left alone. */
  setSchedule(name: string, enabled: boolean): Promise<void>
  /** Enabled, Disabled, Enabling, … */
  mappingState(uuid: string): Promise<string>
  /** What Lambda says of the last batch, where that failed. */
  mappingProblem(uuid: string): Promise<string | undefined>
  /** False: it is being changed, so that one has to come again. */
  setMapping(uuid: string, enabled: boolean): Promise<boolean>
  /** What a function answers. @throws FunctionFailedError with what it threw */
  invoke(name: string, event: object): Promise<unknown>
  /** How far each stage is behind what it reads: the most in the last minutes, where CloudWatch knows. */
  lags(stages: readonly StackStage[]): Promise<readonly (Lag | undefined)[]>
}

/** What backfills ask besides. */
export interface BackfillControl {
  /** Starts the execution of a name, or finds it running with the same input. False: there was one of that name, and it has ended. */
  startNamed(machine: string, name: string, input: object): Promise<boolean>
  /** Undefined: there is none of this name. */
  executionOf(machine: string, name: string): Promise<NamedExecution | undefined>
  /** What a function is: which code, and how much memory, MB. */
  functionOf(functionName: string): Promise<{ readonly code: string; readonly memoryMb: number }>
}

/** A function that was invoked threw, or was ended. */
export class FunctionFailedError extends MillraceError {
  override readonly name = 'FunctionFailedError'
  /** The name of what it threw. */
  readonly type: string
  /** As that was thrown. */
  readonly reason: string
  constructor(name: string, { errorType = 'Error', errorMessage = '' }: { errorType?: string; errorMessage?: string }) {
    super(`the function ${name} failed: ${errorType}: ${errorMessage}`)
    this.type = errorType
    this.reason = errorMessage
  }
}

const LAG_WINDOW_MS = 5 * 60_000
const LISTED_MAX = 20
const IN_USE = ['ResourceInUseException', 'ResourceConflictException']

/**
 * On the SDK's clients, each loaded when it is first needed: they are no part of what `millrace run` needs, nor of its dependencies.
 * @throws UsageError for an endpoint that is no URL
 */
export function awsControl(): Control & BackfillControl {
  checkEndpoints()
  const call = caller({ clock: systemClock, random: systemRandom, meters: meters() })
  const ask = <T>(
    operation: string,
    resource: string,
    send: (options: { abortSignal: AbortSignal }) => Promise<T>,
    expected?: (error: unknown) => boolean,
  ) => withRegion(() => call({ operation, resource, expected }, ({ signal }) => send({ abortSignal: signal })))
  // Tries are call.ts's business.
  const options = { maxAttempts: 1 }
  const cloudformation = once(async () => {
    const sdk = await installed(() => import('@aws-sdk/client-cloudformation'))
    return { sdk, client: new sdk.CloudFormationClient(options) }
  })
  const states = once(async () => {
    const sdk = await installed(() => import('@aws-sdk/client-sfn'))
    return { sdk, client: new sdk.SFNClient(options) }
  })
  const scheduler = once(async () => {
    const sdk = await installed(() => import('@aws-sdk/client-scheduler'))
    return { sdk, client: new sdk.SchedulerClient(options) }
  })
  const lambda = once(async () => {
    const sdk = await installed(() => import('@aws-sdk/client-lambda'))
    return { sdk, client: new sdk.LambdaClient(options) }
  })
  const cloudwatch = once(async () => {
    const sdk = await installed(() => import('@aws-sdk/client-cloudwatch'))
    return { sdk, client: new sdk.CloudWatchClient(options) }
  })

  return {
    async outputs(stack) {
      const { sdk, client } = await cloudformation()
      const unknown = (error: unknown) => isNamed(error, 'ValidationError') && /does not exist/.test((error as Error).message)
      try {
        const command = new sdk.DescribeStacksCommand({ StackName: stack })
        const { Stacks } = await ask('cloudformation.DescribeStacks', `stack ${stack}`, o => client.send(command, o), unknown)
        return Object.fromEntries((Stacks?.[0]?.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey!, OutputValue!]))
      } catch (error) {
        if (unknown(error)) return undefined
        throw error
      }
    },
    async startExecution(machine) {
      const { sdk, client } = await states()
      const command = new sdk.StartExecutionCommand({ stateMachineArn: machine, input: '{}' })
      const { executionArn, startDate } = await ask('states.StartExecution', machine, o => client.send(command, o))
      return { arn: executionArn!, startedAt: startDate!.getTime() }
    },
    async execution(arn) {
      const { sdk, client } = await states()
      const command = new sdk.DescribeExecutionCommand({ executionArn: arn })
      const { status, input, output, cause } = await ask('states.DescribeExecution', arn, o => client.send(command, o))
      const repeats = input !== undefined && JSON.parse(input).repeat === true
      return {
        status: status as Execution['status'],
        output: output === undefined ? undefined : JSON.parse(output),
        cause,
        repeats,
      }
    },
    async executionsAfter(machine, startedAt) {
      const { sdk, client } = await states()
      const command = new sdk.ListExecutionsCommand({ stateMachineArn: machine, maxResults: LISTED_MAX })
      const { executions } = await ask('states.ListExecutions', machine, o => client.send(command, o))
      return executions!.filter(({ startDate }) => startDate!.getTime() > startedAt).map(({ executionArn }) => executionArn!)
    },
    async runningExecutions(machine) {
      const { sdk, client } = await states()
      const command = new sdk.ListExecutionsCommand({ stateMachineArn: machine, statusFilter: 'RUNNING', maxResults: LISTED_MAX })
      const { executions } = await ask('states.ListExecutions', machine, o => client.send(command, o))
      return executions!.map(({ executionArn }) => executionArn!)
    },
    async startNamed(machine, name, input) {
      const { sdk, client } = await states()
      const command = new sdk.StartExecutionCommand({ stateMachineArn: machine, name, input: JSON.stringify(input) })
      const taken = (error: unknown) => isNamed(error, 'ExecutionAlreadyExists')
      try {
        await ask('states.StartExecution', machine, o => client.send(command, o), taken)
        return true
      } catch (error) {
        if (taken(error)) return false
        throw error
      }
    },
    async executionOf(machine, name) {
      const { sdk, client } = await states()
      const command = new sdk.DescribeExecutionCommand({
        executionArn: `${machine.replace(':stateMachine:', ':execution:')}:${name}`,
      })
      const unknown = (error: unknown) => isNamed(error, 'ExecutionDoesNotExist')
      try {
        const found = await ask('states.DescribeExecution', name, o => client.send(command, o), unknown)
        return { status: found.status as NamedExecution['status'], cause: found.cause ?? found.error }
      } catch (error) {
        if (unknown(error)) return undefined
        throw error
      }
    },
    async functionOf(functionName) {
      const { sdk, client } = await lambda()
      const command = new sdk.GetFunctionConfigurationCommand({ FunctionName: functionName })
      const found = await ask('lambda.GetFunctionConfiguration', functionName, o => client.send(command, o))
      return { code: found.CodeSha256!, memoryMb: found.MemorySize! }
    },
    async stopExecution(arn, cause = 'the pipeline was stopped') {
      const { sdk, client } = await states()
      const command = new sdk.StopExecutionCommand({ executionArn: arn, cause })
      await ask('states.StopExecution', arn, o => client.send(command, o))
    },
    async setSchedule(name, enabled) {
      const { sdk, client } = await scheduler()
      const State = enabled ? 'ENABLED' : 'DISABLED'
      const resource = `schedule ${name}`
      const found = await ask('scheduler.GetSchedule', resource, o => client.send(new sdk.GetScheduleCommand({ Name: name }), o))
      if (found.State === State) return
      // What is not said is set back to its default: all of it is said again.
      const { $metadata, Arn, CreationDate, LastModificationDate, ...kept } = found
      const command = new sdk.UpdateScheduleCommand({ ...(kept as UpdateScheduleCommandInput), State })
      await ask('scheduler.UpdateSchedule', resource, o => client.send(command, o))
    },
    async mappingState(uuid) {
      const { sdk, client } = await lambda()
      const command = new sdk.GetEventSourceMappingCommand({ UUID: uuid })
      return (await ask('lambda.GetEventSourceMapping', `mapping ${uuid}`, o => client.send(command, o))).State!
    },
    async mappingProblem(uuid) {
      const { sdk, client } = await lambda()
      const command = new sdk.GetEventSourceMappingCommand({ UUID: uuid })
      const found = await ask('lambda.GetEventSourceMapping', `mapping ${uuid}`, o => client.send(command, o))
      return /^PROBLEM/.test(found.LastProcessingResult ?? '') ? found.LastProcessingResult : undefined
    },
    async setMapping(uuid, enabled) {
      const { sdk, client } = await lambda()
      const command = new sdk.UpdateEventSourceMappingCommand({ UUID: uuid, Enabled: enabled })
      const inUse = (error: unknown) => isNamed(error, ...IN_USE)
      try {
        await ask('lambda.UpdateEventSourceMapping', `mapping ${uuid}`, o => client.send(command, o), inUse)
        return true
      } catch (error) {
        if (inUse(error)) return false
        throw error
      }
    },
    async invoke(name, event) {
      const { sdk, client } = await lambda()
      const command = new sdk.InvokeCommand({ FunctionName: name, Payload: JSON.stringify(event) })
      // Not by `ask`: a function takes up to fifteen minutes, and one that may have begun is not to be called once more.
      const { FunctionError, Payload } = await withRegion(() => client.send(command))
      const answer = JSON.parse(Buffer.from(Payload!).toString())
      if (FunctionError !== undefined) throw new FunctionFailedError(name, answer)
      return answer
    },
    async lags(stages) {
      const { sdk, client } = await cloudwatch()
      const metrics = stages.map(lagMetric)
      const command = new sdk.GetMetricDataCommand({
        StartTime: new Date(Date.now() - LAG_WINDOW_MS),
        EndTime: new Date(),
        MetricDataQueries: metrics.map(({ namespace, name, dimension: [Name, Value] }, i) => ({
          Id: `lag${i}`,
          MetricStat: {
            Metric: { Namespace: namespace, MetricName: name, Dimensions: [{ Name, Value }] },
            Period: 60,
            Stat: 'Maximum',
          },
        })),
      })
      const { MetricDataResults = [] } = await ask('cloudwatch.GetMetricData', 'metrics', o => client.send(command, o))
      return metrics.map(({ lag }, i) => {
        const value = MetricDataResults.find(({ Id }) => Id === `lag${i}`)?.Values?.[0]
        return value === undefined ? undefined : lag(value)
      })
    },
  }
}
