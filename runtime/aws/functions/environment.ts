import type { Pipeline } from '../../api/pipeline.ts'
import { followLayouts } from '../../checkpoint/layouts.ts'
import { joinRun, type RunKind, type RunMeta, readRun } from '../../checkpoint/run-meta.ts'
import type { Sink } from '../../connectors/sink.ts'
import { MillraceError } from '../../errors.ts'
import { planPhysical } from '../../graph/planner.ts'
import { shapeOf } from '../../graph/shape.ts'
import type { Ports, StreamRecord } from '../../ports.ts'
import type { Counts } from '../../protocol/item.ts'
import type { KnownHeads } from '../../protocol/log.ts'
import { type CacheDisk, SegmentCache } from '../../snapshot/segment-cache.ts'
import { type StageTopology, Topology } from '../../stage/topology.ts'
import { type StateBackend, type StateBackendName, TABLE } from '../../state/backend.ts'
import type { Objects } from '../objects.ts'
import type { InvocationContext } from './event.ts'
import { segmentCacheBytes } from './memory.ts'
import { openRecorder, type Recorder, SILENT } from './metrics.ts'
import type { ListedShard } from './owners.ts'
import type { Settings } from './settings.ts'
import { splitsOf } from './splits.ts'
import type { RangedShard } from './stage-layout.ts'

/** What an environment stands on: AWS (aws-backing.ts), or in tests what stands in for it. */
export interface Backing {
  readonly ports: Ports
  readonly sourceStreams: SourceStreams
  readonly stageStreams: StageStreams
  /** What sources read from S3. */
  readonly objects: Objects
  /** By name: in the place of what the pipeline gives. */
  readonly sinks: Readonly<Record<string, Sink<any>>>
  /** Where blocks of segments may be kept. Default: in memory alone. */
  readonly disk?: CacheDisk
}

/** What is asked about the user's own Kinesis streams. */
export interface SourceStreams {
  /** Their shards, oldest first: also closed ones, while something of them is kept. */
  listShards(stream: string): Promise<readonly ListedShard[]>
  /**
   * Whether a closed shard has nothing behind a position ('': nothing at all), or is not kept any more.
   * @throws DeadlineError when that is not known at `until`, epoch ms; asked again, it goes on from there, if it can
   */
  isReadToEnd(stream: string, shard: string, after: string, until: number): Promise<boolean>
  /**
   * Records of a shard behind a position ('': from the oldest one on), and whether these are all that there are now.
   * @throws PositionExpiredError when the stream has the position no longer
   */
  read(stream: string, shard: string, after: string, limit: number): Promise<ShardRecords>
}

/** The same about streams between stages, by their names in Kinesis. */
export interface StageStreams extends Omit<SourceStreams, 'listShards'> {
  listShards(stream: string): Promise<readonly RangedShard[]>
}

export interface ShardRecords {
  readonly records: readonly StreamRecord[]
  readonly isAll: boolean
}

/** The run that an environment works for. */
export interface OpenRun {
  readonly meta: RunMeta
  readonly topology: Topology
}

/** What the logs of a run are known to hold. */
export interface Seen {
  /** Reading goes on there: floors stay behind while folds wait. */
  readonly heads: KnownHeads
  /** By log, its last cut, and what it had counted there. */
  readonly cuts: Map<string, { readonly version: number; readonly counts: Counts }>
}

export const openSeen = (): Seen => ({ heads: new Map(), cuts: new Map() })

/** One environment of a function: what stays in memory from one invocation to the next. */
export interface Environment {
  readonly settings: Settings
  readonly ports: Ports
  readonly sourceStreams: SourceStreams
  readonly stageStreams: StageStreams
  readonly objects: Objects
  /** Epoch ms after which this invocation sends nothing any more (protocol.md, A8). */
  readonly deadline: number
  /** All the time that this invocation has from its start, ms. */
  readonly budgetMs: number
  readonly seen: Seen
  /** At the start of each invocation. */
  begin(context: InvocationContext): void
  /** The run, which is made now if there is none yet. */
  run(): Promise<OpenRun>
  /** The run, if there is one. */
  existingRun(): Promise<OpenRun | undefined>
  /** Whether another run has taken the place of the one that this environment works for. */
  isReplaced(): Promise<boolean>
  /** If so, `run` gives that one from now on. */
  renew(): Promise<boolean>
  /** What a run of this code is of, on the splits that its sources have now. */
  kind(): Promise<RunKind>
  topologyOf(run: string, kind: RunKind): Topology
  /** What this invocation tells CloudWatch. */
  readonly recorder: Recorder
  /** A line of JSON for people, on the function's log. */
  log(level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>): void
}

/** For the answer, and for what user code does between two calls. */
const MARGIN_MS = 2_000

export function openEnvironment(
  app: Pipeline,
  settings: Settings,
  back: (deadline: () => number | undefined) => Backing,
  recorder = settings.metrics ? openRecorder(settings.prefix, settings.stage) : SILENT,
): Environment {
  const graph = app.graph()
  const plan = planPhysical(graph, settings.options)
  let deadline = Number.POSITIVE_INFINITY
  let budgetMs = Number.POSITIVE_INFINITY
  const { ports, sourceStreams, stageStreams, objects, sinks, disk } = back(() =>
    deadline === Number.POSITIVE_INFINITY ? undefined : deadline,
  )
  const sources = plan.stages.flatMap(s => s.source?.source?.name ?? [])
  const missing = sources.find(name => settings.sources[name] === undefined)
  if (missing !== undefined)
    throw new MillraceError(
      `the source '${missing}' reads nothing: give the construct a stream, or a topic, for it in \`sources\``,
    )
  const stateBackend = settings.stateBackend ?? graph.options.stateBackend
  let opened: Promise<OpenRun> | undefined

  async function listSplits(): Promise<RunMeta['splits']> {
    const lists = await Promise.all(sources.map(async s => [s, await splitsOf(settings.sources[s]!, sourceStreams)] as const))
    return Object.fromEntries(lists)
  }

  const own = { pipeline: graph.name, shape: shapeOf(plan), stateBackend }

  function topologyOf(run: string, kind: RunKind): Topology {
    const splits = new Map(Object.entries(kind.splits))
    const counts = new Map(
      plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, splits.get(s.source.source!.name)!.length]])),
    )
    const bindings = { sinks, splits, snapshots: true, stateBackend: openBackend(kind.stateBackend ?? 'table', disk) }
    return new Topology(plan, graph.name, run, counts, bindings)
  }

  async function open(): Promise<OpenRun> {
    const meta = await joinRun(ports, own, listSplits)
    const topology = topologyOf(meta.run, meta)
    await followLayouts(ports.log, topology)
    return { meta, topology }
  }

  const environment = {
    settings,
    ports,
    sourceStreams,
    stageStreams,
    objects,
    get deadline() {
      return deadline
    },
    get budgetMs() {
      return budgetMs
    },
    recorder,
    seen: openSeen(),
    begin(context: InvocationContext) {
      recorder.clear()
      budgetMs = context.getRemainingTimeInMillis()
      deadline = ports.clock.now() + budgetMs - Math.min(MARGIN_MS, budgetMs / 4)
    },
    run() {
      opened ??= open().catch(error => {
        opened = undefined
        throw error
      })
      return opened
    },
    async existingRun() {
      return opened === undefined && (await readRun(ports)) === undefined ? undefined : environment.run()
    },
    async isReplaced() {
      const known = await opened?.catch(() => undefined)
      return known !== undefined && (await readRun(ports))?.run !== known.meta.run
    },
    async renew() {
      if (!(await environment.isReplaced())) return false
      opened = undefined
      environment.seen.heads.clear()
      environment.seen.cuts.clear()
      return true
    },
    kind: async () => ({ ...own, splits: await listSplits() }),
    topologyOf,
    log(level: 'info' | 'warn' | 'error', message: string, fields: Readonly<Record<string, unknown>> = {}) {
      console[level](JSON.stringify({ level, message, pipeline: graph.name, stage: settings.stage, ...fields }))
    },
  }
  return environment
}

function openBackend(name: StateBackendName, disk: CacheDisk | undefined): StateBackend {
  return name === 'table' ? TABLE : { kind: name, cache: new SegmentCache({ bytesMax: segmentCacheBytes(), disk }) }
}

/** The stage that a function of one stage belongs to. */
export function ownStage({ settings }: Environment, topology: Topology): StageTopology {
  const at = topology.stages.find(s => s.stage.id === settings.stage)
  if (at !== undefined) return at
  const known = topology.stages.map(s => s.stage.id).join(', ')
  throw new MillraceError(
    `this function is of stage '${settings.stage}', but the pipeline has ${known}: deploy the stack again, so that code and functions fit`,
  )
}
