import type { Pipeline } from '../api/pipeline.ts'
import { checkpointHandler } from '../aws/functions/checkpoint.ts'
import { cutHandler } from '../aws/functions/cut.ts'
import { type Backing, type Environment, type OpenRun, openEnvironment } from '../aws/functions/environment.ts'
import { joinHandler } from '../aws/functions/join-source.ts'
import { materialiseHandler } from '../aws/functions/materialise.ts'
import type { Settings } from '../aws/functions/settings.ts'
import { stageHandler } from '../aws/functions/stage.ts'
import type { Objects } from '../aws/objects.ts'
import { blobSink } from '../connectors/blob-sink.ts'
import type { PhysicalPlan, PhysicalStage } from '../graph/plan.ts'
import { planPhysical } from '../graph/planner.ts'
import type { Ports } from '../ports.ts'
import { readHeader } from '../protocol/frame.ts'
import type { Topology } from '../stage/topology.ts'
import type { StateBackendName } from '../state/backend.ts'
import { type Controller, openController } from './controller.ts'
import { NO_FAULTS } from './faults.ts'
import { type Handler, type Lambda, type Outcome, openLambda } from './lambda.ts'
import { evenShards, type Lineage, openLineage } from './lineage.ts'
import { type Mapping, type MappingOptions, openMapping } from './mapping.ts'
import { openServices, openSimPorts, type Services } from './ports.ts'
import { openSandbox, type Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'
import { simSourceStreams } from './source-streams.ts'
import { simStageStreams } from './stage-streams.ts'
import { streamOf } from './streams.ts'

/** How a pipeline is deployed. */
export interface Deployment {
  readonly parallelism: number
  /** Shards of each source's stream. */
  readonly shards: number
  readonly batchMax: number
  readonly timeoutMs: number
  readonly checkpointTimeoutMs: number
  readonly checkpointEveryMs: number
  /** Input comes so slowly, and checkpoints so often, that many are complete before all of it is there. */
  readonly dense?: boolean
  readonly stateBackend?: StateBackendName
}

/** A pipeline on the functions of runtime/aws/functions, and the services that they stand on, all of it in one simulation. */
export interface World {
  readonly app: Pipeline
  readonly services: Services
  readonly plan: PhysicalPlan
  readonly controller: Controller
  /** Of the run that it works for, once it has begun. */
  readonly topology: Topology | undefined
  /** Of any run on this plan. */
  topologyOf(run: string): Topology | undefined
  readonly mappings: readonly Mapping[]
  readonly lambdas: readonly Lambda[]
  /** Ports that nothing goes wrong with, for whoever looks at the world from outside. */
  readonly ports: Ports
  /** An environment on those. */
  environment(): Environment
  /** Everything is through, and nothing runs any more. */
  isQuiet(): boolean
  start(): void
  /** Mappings and the schedule are switched off; `all`: and executions of the state machine end. What is under way goes on. */
  stop(all: boolean): void
  /** On again. */
  goOn(what: 'stages' | 'sources'): void
  /** Works for the run that there is now. */
  renew(): Promise<void>
  /** Calls the controller's function. */
  steps(event: object): Promise<Outcome>
  /** For each subtask of a source: has it read on from the checkpoint that its run began with. */
  joins(): readonly (() => Promise<Outcome>)[]
}

export interface WorldOptions {
  readonly app: Pipeline
  readonly deployment: Deployment
  readonly services?: Services
  /** A function threw. */
  readonly onError: (error: unknown, name: string) => void
  readonly onStuck?: (what: string) => void
}

const NO_OBJECTS: Objects = {
  read: () => {
    throw new Error('simulated pipelines read no objects')
  },
}

/** The stream that a source reads. */
export function sourceStream(source: string): string {
  return `source.${source}`
}

export function openWorld(
  simulation: Simulation,
  { app, deployment, services = openServices(simulation), onError, onStuck }: WorldOptions,
): World {
  const { trace } = simulation
  const { parallelism, shards, timeoutMs } = deployment
  const graph = app.graph()
  const plan = planPhysical(graph, { parallelism })
  const sources = plan.stages.flatMap(s => s.source?.source?.name ?? [])
  const sinks = graph.nodes.flatMap(n => n.sink?.name ?? [])
  for (const stream of sources.map(sourceStream))
    if (!services.sources.has(stream)) services.sources.set(stream, openLineage(evenShards(shards)))
  for (const stage of plan.stages) if (stage.source === undefined) makeStream(services, stage)
  const settings: Settings = {
    prefix: PREFIX,
    tables: { log: 'log', state: 'state' },
    bucket: 'bucket',
    options: { parallelism },
    sources: Object.fromEntries(sources.map(name => [name, { kind: 'kinesis', stream: sourceStream(name) }])),
    sinks: {},
    stage: undefined,
    timeoutMs,
    stateBackend: deployment.stateBackend,
  }

  function environmentIn(sandbox: Sandbox, stage?: string): Environment {
    const back = (deadline: () => number | undefined): Backing => {
      const ports = openSimPorts(simulation, services, sandbox, deadline)
      return backing(ports)
    }
    const backing = (ports: Ports): Backing => ({
      ports,
      sourceStreams: simSourceStreams(simulation, services, ports, sandbox),
      stageStreams: simStageStreams(simulation, services, ports, sandbox, PREFIX),
      objects: NO_OBJECTS,
      sinks: Object.fromEntries(sinks.map(name => [name, blobSink(ports.blobs, `results/${name}`, name)])),
    })
    const environment = openEnvironment(app, { ...settings, stage }, back)
    const log: Environment['log'] = (level, message) => trace?.(`${sandbox.name} ${level}: ${message}`)
    return Object.defineProperty(environment, 'log', { value: log })
  }

  const functionOf = (name: string, handler: (environment: Environment) => Handler, stage?: string, ms = timeoutMs) =>
    openLambda(simulation, { name, timeoutMs: ms, load: sandbox => handler(environmentIn(sandbox, stage)), onError })

  /** As functions/stage.ts. */
  const stageOrJoin = (environment: Environment): Handler => {
    const [stage, join] = [stageHandler(environment) as Handler, joinHandler(environment) as Handler]
    return (event, context) => ('join' in event ? join(event, context) : stage(event, context))
  }
  const stages = plan.stages.map(stage => functionOf(stage.id, stageOrJoin, stage.id))
  const sourceStages = plan.stages.filter(s => s.source !== undefined)
  const cuts = new Map(sourceStages.map(({ id }) => [id, functionOf(`cut ${id}`, cutHandler as (e: Environment) => Handler, id)]))
  const step = (handle: Handler): Handler => {
    return async (event, context) => {
      const onAnswer = event.step === 'start' ? services.onStart?.() : event.start && services.onStep?.(event.start)
      const answer = await handle(event, context)
      onAnswer?.(answer)
      return answer
    }
  }
  const steps = (environment: Environment) => step(checkpointHandler(environment) as Handler)
  const checkpoint = functionOf('checkpoint', steps, undefined, CONTROL_TIMEOUT_MS)
  const folds = (environment: Environment): Handler => {
    const fold = materialiseHandler(environment) as Handler
    return step((event, context) => {
      services.onFold?.(event)
      return fold(event, context)
    })
  }
  const materialise = functionOf('materialise', folds, undefined, CONTROL_TIMEOUT_MS)
  const lambdas = [...stages, ...cuts.values(), checkpoint, materialise]
  const controller = openController(simulation, {
    checkpoint,
    materialise,
    cuts,
    timeoutMs: deployment.checkpointTimeoutMs,
    everyMs: deployment.checkpointEveryMs,
    hasMoved: since => stages.some(({ running, endedAt }) => running > 0 || endedAt >= since),
  })
  const outside = openSandbox({ ...simulation, faults: NO_FAULTS, trace: undefined }, 'outside')
  const mappings: Mapping[] = []
  const off = new Set<'stages' | 'sources'>()
  let first: OpenRun | undefined
  let topology: Topology | undefined
  const topologies = new Map<string, Topology>()

  function topologyOf(run: string): Topology | undefined {
    if (first === undefined) return undefined
    const known = topologies.get(run) ?? environmentIn(outside).topologyOf(run, first.meta)
    topologies.set(run, known)
    return known
  }

  /** Others get no further since they have too little time. */
  function isUndecided(frame: Uint8Array): boolean {
    const { run, producer, version } = readHeader(frame)
    if (run !== topology!.run) return false
    const log = topology!.logOfProducer(producer)
    return version > services.log.of(log).floor && services.log.get(log, version) === undefined
  }

  function follow(lambda: Lambda, options: Omit<MappingOptions, 'stuckMs'>): Mapping {
    const stuckMs = (timeoutMs + SKEW_MS) * STUCK
    const mapping = openMapping(simulation, services.kinesis, lambda, { ...options, stuckMs })
    mappings.push(mapping)
    mapping.start()
    return mapping
  }

  function followStream(
    lambda: Lambda,
    stream: string,
    lineage: Lineage,
    what: 'stages' | 'sources',
    onStuckAt?: (shard: number) => MappingOptions['onStuck'],
  ) {
    const { batchMax } = deployment
    const followed: Mapping[] = []
    const followShard: Lineage['onShard'] = ({ index: shard, parents }) => {
      const behind = parents.map(parent => followed[parent]!)
      const isOff = () => off.has(what)
      followed[shard] = follow(lambda, { stream, shard, batchMax, behind, isOff, onStuck: onStuckAt?.(shard) })
    }
    lineage.shards.forEach(followShard)
    lineage.onShard = followShard
  }

  function followStage(lambda: Lambda, stream: string): void {
    followStream(
      lambda,
      stream,
      services.between.get(stream)!,
      'stages',
      shard =>
        ({ data }) =>
          isUndecided(data) && onStuck?.(`${stream} ${shard} waits for a frame that nobody decides`),
    )
  }

  /** Sources wait for memory, but for no frames. */
  function followSource(lambda: Lambda, stream: string): void {
    followStream(lambda, stream, services.sources.get(stream)!, 'sources')
  }

  async function start(): Promise<void> {
    first = await environmentIn(outside).run()
    topology = first.topology
    topologies.set(topology.run, topology)
    const { stages: all } = topology
    for (const [i, { stage }] of all.entries())
      if (stage.source === undefined) followStage(stages[i]!, streamOf(topology.stream(stage.index)))
      else followSource(stages[i]!, sourceStream(stage.source.source!.name))
    controller.start()
  }

  return {
    app,
    services,
    plan,
    controller,
    get topology() {
      return topology
    },
    topologyOf,
    mappings,
    lambdas,
    ports: openSimPorts(simulation, services, outside),
    environment: () => environmentIn(outside),
    // What is seldom so comes first: it is asked after each event.
    isQuiet: () =>
      controller.last?.outcome === 'nothing' &&
      controller.running === 0 &&
      mappings.length > 0 &&
      lambdas.every(l => l.running === 0) &&
      mappings.every(m => m.isThrough) &&
      // It has looked since anything could have changed.
      stages.every(({ endedAt }) => endedAt < controller.last!.begunAt),
    start: () => void start(),
    stop(all) {
      for (const what of ['stages', 'sources'] as const) off.add(what)
      controller.stop(all)
    },
    goOn(what) {
      off.delete(what)
      controller.goOn()
    },
    async renew() {
      topology = topologyOf((await environmentIn(outside).run()).topology.run)
    },
    steps: event => checkpoint.invoke(event),
    joins: () =>
      topology!.stages.flatMap(({ stage, parallelism }) =>
        stage.source === undefined
          ? []
          : Array.from({ length: parallelism }, (_, join) => () => stages[stage.index]!.invoke({ join })),
      ),
  }
}

const PREFIX = 'sim'

/** A stage that is deployed with another number of subtasks gets a stream of that name anew. */
function makeStream({ between, kinesis }: Services, { id, parallelism }: PhysicalStage): void {
  const first = between.get(id)?.shards.filter(({ parents }) => parents.length === 0).length
  if (first === parallelism) return
  if (first !== undefined) kinesis.clear(id)
  between.set(id, openLineage(evenShards(parallelism)))
}

/** infra/pipeline.ts gives the controller's functions all that Lambda has. */
const CONTROL_TIMEOUT_MS = 15 * 60_000

/** Who waits for a frame reckons with this (aws/functions/deliver-frames.ts), and twice as long after each abort. */
const SKEW_MS = 15_000
const STUCK = 12
