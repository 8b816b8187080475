import { CfnOutput, Duration, Names, Stack, Tags } from 'aws-cdk-lib'
import type { Alarm } from 'aws-cdk-lib/aws-cloudwatch'
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { PhysicalPlan, PhysicalStage } from '../runtime/graph/plan.ts'
import { planPhysical } from '../runtime/graph/planner.ts'
import { bindFiles, checkSources } from './bindings.ts'
import { functionsCode } from './bundle.ts'
import { makeCheckpoints } from './checkpoints.ts'
import { type FunctionDefaults, MEMORY_MB, makeFunction, TIMEOUT_MAX } from './functions.ts'
import {
  grantCheckpoint,
  grantFiles,
  grantListing,
  grantMaterialise,
  grantPolling,
  grantSending,
  grantSubtask,
} from './grants.ts'
import { loadPipeline, naming } from './load.ts'
import { makeAlarms, makeDashboard } from './monitoring.ts'
import type { FilesInBucket, MillracePipelineProps } from './props.ts'
import { makeStorage, type Storage } from './storage.ts'
import { makeStageStream, mapEvents } from './streams.ts'

/** Stage streams' names take up to 128 characters, the state machine's 80. */
const PREFIX_LENGTH_MAX = 60
const STAGE_TIMEOUT = Duration.minutes(1)
const SOURCE_BATCH = 1000
const FRAMES_BATCH = 100

/** A stage as it stands in the stack. */
export interface DeployedStage {
  readonly handler: IFunction
  /** Of a source stage: the user's. */
  readonly stream: IStream
  /** Of a source stage: makes the checkpoint's cut. */
  readonly cut: IFunction | undefined
}

/**
 * A pipeline on AWS: a Lambda function over a Kinesis stream for each stage, two tables and a bucket for state, and a state machine that takes checkpoints.
 * docs/aws.md says what is made.
 *
 * @example
 * const events = new Stream(this, 'Events', { streamMode: StreamMode.PROVISIONED, shardCount: 2 })
 * new MillracePipeline(this, 'Trending', {
 *   entry: 'trending.ts',
 *   sources: { events },
 *   sinks: { trending: { bucket } },
 * })
 * @throws InfraError when the file, its plan, or the bindings of its sources and sinks don't fit
 */
export class MillracePipeline extends Construct {
  readonly plan: PhysicalPlan
  /** What the names of the stages' streams begin with. */
  readonly prefix: string
  readonly storage: Storage
  /** By stage id, as `millrace plan` shows them. */
  readonly stages: Readonly<Record<string, DeployedStage>>
  readonly checkpoints: StateMachine
  /** They have no actions: add your own. */
  readonly alarms: readonly Alarm[]

  constructor(scope: Construct, id: string, props: MillracePipelineProps) {
    super(scope, id)
    const graph = loadPipeline(props.entry, props.environment)
    const { parallelism } = props
    this.plan = naming(props.entry, () => planPhysical(graph, { parallelism }))
    checkSources(this.plan, props.sources)
    const files = bindFiles(this.plan, props.sinks ?? {})
    this.prefix = Names.uniqueResourceName(this, { maxLength: PREFIX_LENGTH_MAX, separator: '-', allowedSpecialCharacters: '-' })
    Tags.of(this).add('millrace:pipeline', graph.name)
    if (props.encryptionKey !== undefined) allowLogs(props.encryptionKey, this)
    this.storage = makeStorage(this, props)
    const defaults: FunctionDefaults = {
      code: functionsCode(props.entry),
      environment: { ...props.environment, ...this.environment(props, files) },
      logRetention: props.logRetention,
      key: props.encryptionKey,
    }
    this.stages = this.makeStages(defaults, props, files)
    const controller = this.makeController(defaults, props, files)
    const cuts = Object.fromEntries(Object.entries(this.stages).flatMap(([stage, { cut }]) => (cut ? [[stage, cut]] : [])))
    this.checkpoints = makeCheckpoints(this, this.prefix, { ...controller, cuts }, this.storage.log, {
      interval: props.checkpointInterval,
      timeout: props.checkpointTimeout,
      key: props.encryptionKey,
    })
    this.alarms = this.watch({
      ...controller,
      ...prefixed('cut', cuts),
      ...prefixed(
        'stage',
        mapValues(this.stages, s => s.handler),
      ),
    })
    this.output()
  }

  /** Of every function; runtime/aws/functions reads it. */
  private environment({ sources, parallelism, timeout }: MillracePipelineProps, files: Files): Record<string, string> {
    const json = (value: unknown) => Stack.of(this).toJsonString(value)
    return {
      MILLRACE_PREFIX: this.prefix,
      MILLRACE_LOG_TABLE: this.storage.log.tableName,
      MILLRACE_STATE_TABLE: this.storage.state.tableName,
      MILLRACE_BUCKET: this.storage.bucket.bucketName,
      MILLRACE_TIMEOUT_MS: String((timeout ?? STAGE_TIMEOUT).toMilliseconds()),
      MILLRACE_OPTIONS: JSON.stringify({ parallelism }),
      MILLRACE_SOURCES: json(mapValues(sources, ({ streamName }) => ({ kind: 'kinesis', stream: streamName }))),
      MILLRACE_SINKS: json(mapValues(files, ({ bucket, prefix }) => ({ kind: 's3', bucket: bucket.bucketName, prefix }))),
    }
  }

  private makeStages(defaults: FunctionDefaults, props: MillracePipelineProps, files: Files): Record<string, DeployedStage> {
    const { sources, encryptionKey } = props
    const streams = this.plan.stages.map(stage =>
      stage.source === undefined ? makeStageStream(this, this.prefix, stage, encryptionKey) : sources[stage.source.source!.name]!,
    )
    return Object.fromEntries(
      this.plan.stages.map(stage => {
        const stream = streams[stage.index]!
        const next = [...new Set(stage.outputs.map(edge => streams[edge.toStage]!))]
        const subtask = (id: string, entry: 'stage' | 'cut', description: string) => {
          const made = makeFunction(this, `${id}-${stage.id}`, defaults, {
            entry,
            description,
            memorySize: props.memorySize ?? MEMORY_MB,
            timeout: props.timeout ?? STAGE_TIMEOUT,
            environment: { MILLRACE_STAGE: stage.id },
          })
          grantSubtask(made, this.storage)
          grantSending(made, next)
          grantListing(made, Object.values(sources))
          for (const name of sinksOf(stage)) if (files[name] !== undefined) grantFiles(made, files[name], name)
          return made
        }
        const title = `Millrace ${this.plan.graph.name}: `
        const handler = subtask('Stage', 'stage', `${title}stage ${stage.id}`)
        grantPolling(handler, stream)
        mapEvents(this, `Mapping-${stage.id}`, handler, stream.streamArn, batching(stage, props), this.storage)
        const cut = stage.source && subtask('Cut', 'cut', `${title}cut of source stage ${stage.id}`)
        return [stage.id, { handler, stream, cut }]
      }),
    )
  }

  private makeController(defaults: FunctionDefaults, { sources }: MillracePipelineProps, files: Files) {
    const title = `Millrace ${this.plan.graph.name}: `
    const sized = { memorySize: MEMORY_MB, timeout: TIMEOUT_MAX }
    const materialise = makeFunction(this, 'Materialise', defaults, {
      entry: 'materialise',
      description: `${title}folds changes into state`,
      ...sized,
    })
    grantMaterialise(materialise, this.storage)
    const checkpoint = makeFunction(this, 'Checkpoint', defaults, {
      entry: 'checkpoint',
      description: `${title}the checkpoints' steps`,
      ...sized,
    })
    grantCheckpoint(checkpoint, this.storage)
    for (const [name, bound] of Object.entries(files)) grantFiles(checkpoint, bound, name)
    for (const fn of [materialise, checkpoint]) grantListing(fn, Object.values(sources))
    return { materialise, checkpoint }
  }

  private watch(functions: Record<string, IFunction>): Alarm[] {
    const { stages, checkpoints } = this
    const watched = { stages, functions, checkpoints, deadLetters: this.storage.deadLetters }
    makeDashboard(this, this.prefix, watched)
    return makeAlarms(this, watched)
  }

  /** `<id>LogTable` and so on, by the construct's path in its stack. */
  private output(): void {
    const path = this.node.path.slice(Stack.of(this).node.path.length).replace(/[^A-Za-z0-9]/g, '')
    const { log, state, bucket, deadLetters } = this.storage
    const outputs: Record<string, string> = {
      Prefix: this.prefix,
      LogTable: log.tableName,
      StateTable: state.tableName,
      Bucket: bucket.bucketName,
      DeadLetters: deadLetters.queueUrl,
      Checkpoints: this.checkpoints.stateMachineArn,
      Stages: Stack.of(this).toJsonString(
        mapValues(this.stages, ({ handler, stream }) => ({ function: handler.functionName, stream: stream.streamName })),
      ),
    }
    for (const [name, value] of Object.entries(outputs))
      new CfnOutput(this, `Output${name}`, { value }).overrideLogicalId(`${path}${name}`)
  }
}

type Files = Readonly<Record<string, Required<FilesInBucket>>>

function batching(stage: PhysicalStage, { batching = {} }: MillracePipelineProps) {
  return { size: batching.size ?? (stage.source === undefined ? FRAMES_BATCH : SOURCE_BATCH), window: batching.window }
}

function sinksOf(stage: PhysicalStage): string[] {
  return stage.nodes.flatMap(({ sink }) => sink?.name ?? [])
}

function mapValues<T, U>(from: Readonly<Record<string, T>>, to: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [name, to(value)]))
}

function prefixed<T>(kind: string, from: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [`${kind} ${name}`, value]))
}

/** CloudWatch Logs uses a key by its own right. */
function allowLogs(key: IKey, scope: Construct): void {
  key.grant(
    new ServicePrincipal(`logs.${Stack.of(scope).region}.amazonaws.com`),
    'kms:Encrypt',
    'kms:Decrypt',
    'kms:ReEncryptFrom',
    'kms:ReEncryptTo',
    'kms:GenerateDataKey',
    'kms:DescribeKey',
  )
}
