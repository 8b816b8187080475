import { Duration, Names, Stack, Tags } from 'aws-cdk-lib'
import type { Alarm } from 'aws-cdk-lib/aws-cloudwatch'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { CfnEventSourceMapping, IFunction, Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import type { IQueue } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import { KEEP_FORMER } from '../runtime/aws/functions/clean.ts'
import type { SourceSetting } from '../runtime/aws/functions/settings.ts'
import type { LogicalGraph } from '../runtime/graph/graph.ts'
import type { PhysicalPlan, PhysicalStage } from '../runtime/graph/plan.ts'
import { STATE_BACKENDS, type StateBackendName } from '../runtime/state/backend.ts'
import { makeAlarms } from './alarms.ts'
import { makeBackfill } from './backfill.ts'
import { bindFiles, checkEnvironment, checkLoops, checkSources } from './bindings.ts'
import { functionsCode } from './bundle.ts'
import { mapChanges } from './changes.ts'
import { makeCheckpoints } from './checkpoints.ts'
import { checkCompatible } from './compatible.ts'
import { makeDashboard } from './dashboard.ts'
import { InfraError } from './error.ts'
import { type FunctionDefaults, makeFunction, makeNetwork, TIMEOUT_MAX } from './functions.ts'
import {
  grantCheckpoint,
  grantFiles,
  grantListing,
  grantMaterialise,
  grantPolling,
  grantReading,
  grantSending,
  grantSubtask,
  grantTakingOver,
} from './grants.ts'
import { mapTopic } from './kafka.ts'
import { loadPipeline, naming } from './load.ts'
import { givenUpRecords } from './metrics.ts'
import { mapObjects, type ObjectsReading } from './objects.ts'
import { checkOptionNames } from './option-names.ts'
import { makeOutputs } from './outputs.ts'
import type { FilesInBucket, MillracePipelineProps } from './props.ts'
import { isChanges, isKafka, isObjects, type SourceProps, sourceSetting, streamOf, streamsOf } from './sources.ts'
import { checkDuration, MEMORY_MB, makePlan, planOptions, type StageOptions, stageOptions } from './stage-options.ts'
import { makeStorage, type Storage } from './storage.ts'
import { makeConsumer, makeStageStream, mapEvents } from './streams.ts'

/** Stage streams' names take up to 128 characters, the state machine's 80. */
const PREFIX_LENGTH_MAX = 60
/** No step of a checkpoint that began before goes on for so long: it would find its decision gone, and make it once more. */
const RETENTION_SECONDS_MIN = Duration.hours(1).toSeconds()
const RETENTION_SECONDS_MAX = Duration.days(365).toSeconds()

/** A stage as it stands in the stack. */
export interface DeployedStage {
  readonly handler: IFunction
  /** Of a source stage: the user's; undefined: it reads something else than Kinesis. */
  readonly stream: IStream | undefined
  readonly reads: SourceSetting['kind']
  /** Of a source of objects: where they are announced. */
  readonly queue?: IQueue
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
  /** Takes the steps of checkpoints, the sinks' commit among them. */
  readonly checkpoint: IFunction
  /** Runs backfills, if the pipeline has them. */
  readonly backfills: StateMachine | undefined
  /** They have no actions: add your own. */
  readonly alarms: readonly Alarm[]

  constructor(scope: Construct, id: string, props: MillracePipelineProps) {
    super(scope, id)
    checkOptionNames(props ?? {})
    checkEnvironment(props.environment ?? {})
    const graph = loadPipeline(props.entry, props.environment)
    this.plan = naming(props.entry, () => makePlan(graph, props))
    checkSources(this.plan, props.sources)
    const files = bindFiles(this.plan, props.sinks ?? {})
    checkLoops(props.sources, files, props.bucket)
    const options = new Map(this.plan.stages.map(stage => [stage, stageOptions(stage, props)]))
    this.prefix = Names.uniqueResourceName(this, { maxLength: PREFIX_LENGTH_MAX, separator: '-', allowedSpecialCharacters: '-' })
    for (const [name, value] of Object.entries({ 'millrace:pipeline': graph.name, ...props.tags })) Tags.of(this).add(name, value)
    if (props.encryptionKey !== undefined) allowLogs(props.encryptionKey, this)
    this.storage = makeStorage(this, props)
    const defaults: FunctionDefaults = {
      code: functionsCode(props.entry),
      environment: { ...props.environment, ...this.environment(props, files, [...options.values()]) },
      logRetention: props.logRetention,
      key: props.encryptionKey,
      network: makeNetwork(this, props),
    }
    const compatible = checkCompatible(this, defaults, this.plan, this.storage, stateBackendOf(props, graph), props.newRun)
    const stages = this.makeStages(defaults, props, files, options)
    this.stages = stages
    const between = this.plan.stages.flatMap(stage => (stage.source === undefined ? [stages[stage.id]!.stream!] : []))
    const controller = this.makeController(defaults, props, files, between)
    this.checkpoint = controller.checkpoint
    const cuts = Object.fromEntries(Object.entries(stages).flatMap(([stage, { cut }]) => (cut ? [[stage, cut]] : [])))
    const { machine, schedule } = makeCheckpoints(this, this.prefix, { ...controller, cuts }, this.storage.log, {
      interval: props.checkpointInterval,
      timeout: props.checkpointTimeout,
      windowSeconds: Math.max(
        0,
        ...[...options].map(([{ source }, { batchWindow }]) => (source === undefined ? (batchWindow?.toSeconds() ?? 0) : 0)),
      ),
      key: props.encryptionKey,
      inVpc: props.vpc !== undefined,
    })
    this.checkpoints = machine
    const handlers = mapValues(stages, ({ handler }) => handler)
    const mappings = Object.values(stages).map(({ mapping }) => mapping)
    if (props.stopped === true) {
      for (const mapping of mappings) mapping.enabled = false
      schedule.state = 'DISABLED'
    }
    for (const made of [
      ...Object.values({ ...controller, ...cuts, ...prefixed('stage', handlers) }),
      ...mappings,
      this.checkpoints,
    ])
      made.node.addDependency(compatible)
    this.alarms = this.watch(props.metrics ?? true, stages, {
      ...controller,
      ...prefixed('cut', cuts),
      ...prefixed('stage', handlers),
    })
    const backfill =
      props.backfill &&
      makeBackfill(this, this.prefix, defaults, props.backfill, {
        pipeline: graph.name,
        entry: props.entry,
        stages: this.plan.stages.map(stage => ({ stage, handler: stages[stage.id]!.handler, options: options.get(stage)! })),
        storage: this.storage,
      })
    this.backfills = backfill?.machine
    const { pipeline, dashboard } = { pipeline: graph.name, dashboard: this.prefix }
    const { prefix, storage } = this
    makeOutputs(this, {
      pipeline,
      prefix,
      storage,
      checkpoints: machine.stateMachineArn,
      schedule: schedule.ref,
      ...controller,
      dashboard,
      backfill: backfill && { machine: backfill.machine.stateMachineArn, functions: backfill.functions },
      stages,
    })
  }

  /**
   * The functions that write to a sink, by the sink's name: what they write to is yours, so the rights to it are for you to give. docs/sinks.md says which each sink needs.
   *
   * @example
   * for (const writer of pipeline.writersOf('alerts')) queue.grantSendMessages(writer)
   * @throws InfraError when the pipeline has no such sink
   */
  writersOf(sink: string): IFunction[] {
    const spec = this.plan.graph.nodes.find(n => n.sink?.name === sink)?.sink
    if (spec === undefined) throw new InfraError(`${this.plan.graph.name} has no sink '${sink}'`)
    const writing = this.plan.stages.filter(stage => sinksOf(stage).includes(sink)).map(({ id }) => this.stages[id]!)
    return [
      ...writing.flatMap(({ handler, cut }) => [handler, ...(cut ? [cut] : [])]),
      ...(spec.sink.commit ? [this.checkpoint] : []),
    ]
  }

  /** Of every function; runtime/aws/functions reads it. */
  private environment(props: MillracePipelineProps, files: Files, stages: readonly StageOptions[]): Record<string, string> {
    const json = (value: unknown) => Stack.of(this).toJsonString(value)
    return {
      MILLRACE_PREFIX: this.prefix,
      MILLRACE_LOG_TABLE: this.storage.log.tableName,
      MILLRACE_STATE_TABLE: this.storage.state.tableName,
      MILLRACE_BUCKET: this.storage.bucket.bucketName,
      MILLRACE_TIMEOUT_MS: String(Math.max(...stages.map(({ timeout }) => timeout.toMilliseconds()))),
      MILLRACE_MEMORY_MB: String(Math.min(...stages.map(({ memorySize }) => memorySize))),
      MILLRACE_METRICS: props.metrics === false ? 'off' : 'on',
      MILLRACE_STATE_BACKEND: stateBackendOf(props, this.plan.graph),
      MILLRACE_OPTIONS: JSON.stringify(planOptions(props)),
      MILLRACE_SOURCES: json(mapValues(props.sources, sourceSetting)),
      MILLRACE_SINKS: json(mapValues(files, ({ bucket, prefix }) => ({ kind: 's3', bucket: bucket.bucketName, prefix }))),
    }
  }

  private makeStages(
    defaults: FunctionDefaults,
    { sources, encryptionKey, removalPolicy }: MillracePipelineProps,
    files: Files,
    options: ReadonlyMap<PhysicalStage, StageOptions>,
  ): Record<string, MappedStage> {
    const sourceOf = ({ source }: PhysicalStage) => source && sources[source.source!.name]!
    const streams = this.plan.stages.map(stage => {
      const source = sourceOf(stage)
      return source === undefined ? makeStageStream(this, this.prefix, stage, encryptionKey) : streamOf(source)
    })
    const make = (stage: PhysicalStage): MappedStage => {
      const stream = streams[stage.index]!
      const { memorySize, timeout, ...reading } = options.get(stage)!
      const source = sourceOf(stage)
      const next = [...new Set(stage.outputs.map(edge => streams[edge.toStage]!))]
      const subtask = (id: string, entry: 'stage' | 'cut', what: string) => {
        const description = `Millrace ${this.plan.graph.name}: ${what} ${stage.id}`
        const environment = { MILLRACE_STAGE: stage.id }
        const made = makeFunction(this, `${id}-${stage.id}`, defaults, { entry, description, memorySize, timeout, environment })
        grantSubtask(made, this.storage)
        grantSending(made, next)
        grantListing(made, streamsOf(sources))
        for (const name of sinksOf(stage)) if (files[name] !== undefined) grantFiles(made, files[name], name)
        return made
      }
      const handler = subtask('Stage', 'stage', 'stage')
      if (stage.source === undefined) grantTakingOver(handler, this.storage)
      const cut = stage.source && subtask('Cut', 'cut', 'cut of source stage')
      if (cut !== undefined && stream !== undefined) grantReading(cut, stream)
      const mapped = this.map(stage, handler, source ?? stream!, { ...reading, timeout, removalPolicy })
      return { handler, stream, ...mapped, cut, reads: source === undefined ? 'kinesis' : sourceSetting(source).kind }
    }
    return Object.fromEntries(this.plan.stages.map(stage => [stage.id, make(stage)]))
  }

  private map(stage: PhysicalStage, handler: LambdaFunction, source: SourceProps, reading: StageReading): Mapped {
    if (isKafka(source)) return { mapping: mapTopic(this, this.prefix, stage, handler, source.kafka, reading) }
    if (isChanges(source)) return { mapping: mapChanges(this, stage, handler, source.changes, reading, this.storage) }
    if (isObjects(source)) return mapObjects(this, stage, handler, source.objects, reading, this.storage)
    const stream: IStream = source
    const consumerArn = reading.enhancedFanOut ? makeConsumer(this, this.prefix, stage, stream.streamArn) : undefined
    grantPolling(handler, stream, consumerArn)
    return { mapping: mapEvents(this, stage, handler, consumerArn ?? stream.streamArn, reading, this.storage) }
  }

  private makeController(
    defaults: FunctionDefaults,
    { sources, replacedRunRetention: kept }: MillracePipelineProps,
    files: Files,
    between: readonly IStream[],
  ) {
    checkDuration('replacedRunRetention', kept, RETENTION_SECONDS_MIN, RETENTION_SECONDS_MAX)
    const make = (id: string, entry: 'materialise' | 'checkpoint', what: string, environment = {}) => {
      const description = `Millrace ${this.plan.graph.name}: ${what}`
      const own = { entry, description, memorySize: MEMORY_MB, timeout: TIMEOUT_MAX, environment }
      const made = makeFunction(this, id, defaults, own)
      grantListing(made, streamsOf(sources))
      return made
    }
    const materialise = make('Materialise', 'materialise', 'folds changes into state')
    grantMaterialise(materialise, this.storage)
    const cleaning = kept && { [KEEP_FORMER]: String(kept.toMilliseconds()) }
    const checkpoint = make('Checkpoint', 'checkpoint', "the checkpoints' steps", cleaning)
    grantCheckpoint(checkpoint, this.storage)
    // What `millrace rescale` is to change.
    grantListing(checkpoint, between)
    // Whether they still have what follows the checkpoint that a run is to start from.
    for (const stream of streamsOf(sources)) grantReading(checkpoint, stream)
    for (const [name, bound] of Object.entries(files)) grantFiles(checkpoint, bound, name)
    return { materialise, checkpoint }
  }

  private watch(
    metrics: boolean,
    stages: Readonly<Record<string, MappedStage>>,
    functions: Record<string, LambdaFunction>,
  ): Alarm[] {
    const { checkpoints, checkpoint, storage, prefix } = this
    const handlers = Object.values(stages).map(({ handler }) => handler)
    const givenUp = givenUpRecords(this, prefix, handlers)
    const watched = { prefix, stages, functions, checkpoints, checkpoint, storage, givenUp, metrics }
    makeDashboard(this, watched)
    return makeAlarms(this, watched)
  }
}

type Files = Readonly<Record<string, Required<FilesInBucket>>>

type StageReading = Pick<StageOptions, 'enhancedFanOut'> & ObjectsReading

interface Mapped {
  readonly mapping: CfnEventSourceMapping
  /** Where objects are announced. */
  readonly queue?: IQueue
}

interface MappedStage extends DeployedStage, Mapped {
  readonly handler: LambdaFunction
  readonly cut: LambdaFunction | undefined
}

function stateBackendOf({ stateBackend }: MillracePipelineProps, { options }: LogicalGraph): StateBackendName {
  if (stateBackend !== undefined && !STATE_BACKENDS.includes(stateBackend))
    throw new InfraError(`stateBackend is '${stateBackend}': ${STATE_BACKENDS.map(b => `'${b}'`).join(' or ')} is needed`)
  return stateBackend ?? options.stateBackend ?? 'table'
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
  const { region, account, partition } = Stack.of(scope)
  const actions = ['Encrypt', 'Decrypt', 'ReEncryptFrom', 'ReEncryptTo', 'GenerateDataKey', 'DescribeKey']
  key.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal(`logs.${region}.amazonaws.com`)],
      actions: actions.map(action => `kms:${action}`),
      resources: ['*'],
      conditions: { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': `arn:${partition}:logs:${region}:${account}:log-group:*` } },
    }),
  )
}
