import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Sink } from '../connectors/sink.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import type { PhysicalPlan } from '../graph/plan.ts'
import { planPhysical } from '../graph/planner.ts'
import { type Bindings, Topology } from '../stage/topology.ts'
import { type InputFiles, localFiles } from './input-files.ts'
import { type Piece, pieceName } from './pieces.ts'

/** What the results of a bounded run depend on, besides the pipeline. Plain data: kept in the run's directory, and given to its workers. */
export interface Job {
  readonly run: string
  readonly parallelism: number
  /** Of single operators, by id. */
  readonly parallelismOf?: Readonly<Record<string, number>>
  /** Of each source, by its name. */
  readonly pieces: Readonly<Record<string, readonly Piece[]>>
  /** Files that are not, since their folders are of another time. */
  readonly skippedFiles: number
  /** Event times that are wanted, epoch ms: since <= time < until. */
  readonly since: number | undefined
  readonly until: number | undefined
  /** A stream is to take over at `until`: nothing that is not due then fires, and the state of then is kept. */
  readonly thenLive: boolean
}

/** A bounded run in one process: the plan of the job, and where its files are. */
export interface Prepared {
  readonly graph: LogicalGraph
  readonly plan: PhysicalPlan
  readonly job: Job
  readonly files: Files
  readonly sinks: Readonly<Record<string, Sink<any>>>
  /** Bytes of keyed state that one task may keep in memory. */
  readonly stateMemory: number
  /** Where its pieces are read. */
  readonly input: Pick<InputFiles, 'open'>
  topology(bindings?: Bindings): Topology
}

/** By which operators, subtasks and inputs the run is known again. */
export function prepare(
  graph: LogicalGraph,
  job: Job,
  directory: string,
  sinks: Readonly<Record<string, Sink<any>>>,
  stateMemory: number,
  input: Pick<InputFiles, 'open'> = localFiles,
): Prepared {
  const plan = planPhysical(graph, { parallelism: job.parallelism, parallelismOf: job.parallelismOf })
  const splits = new Map(Object.entries(job.pieces).map(([name, pieces]) => [name, pieces.map(pieceName)]))
  const subtasks = new Map(
    plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, splits.get(s.source.source!.name)?.length ?? 0]])),
  )
  const topology = (bindings: Bindings = {}) =>
    new Topology(plan, graph.name, job.run, subtasks, { sinks, splits, compression: false, ...bindings })
  return { graph, plan, job, files: new Files(directory), sinks, stateMemory, input, topology }
}

/** Where a bounded run has what, below its directory. */
export class Files {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  /** What the run is. */
  get job(): string {
    return join(this.directory, 'backfill.json')
  }

  /** What came of it, when it is through. */
  get summary(): string {
    return join(this.directory, 'finished.json')
  }

  /** What a task has done: it is done when this is there. */
  done(stage: number, shard: number): string {
    return this.in('done', `${stage}-${shard}.json`)
  }

  /** What a task has for its consumers. */
  spill(stage: number, shard: number): string {
    return this.in('spill', `${stage}-${shard}`)
  }

  /** Results of a task for a sink that nothing can be staged in. */
  held(sink: number, shard: number): string {
    return this.in('held', `${sink}-${shard}`)
  }

  /** How far they are sent. */
  sent(sink: number, shard: number): string {
    return this.in('held', `${sink}-${shard}.sent.json`)
  }

  /** A directory of a task's own while it is under way. */
  scratch(stage: number, shard: number): string {
    return this.in('scratch', `${stage}-${shard}`)
  }

  /** What sinks have staged. */
  get blobs(): string {
    return this.in('staged', '')
  }

  /** Of what only one stage after the other needs. */
  get passing(): readonly string[] {
    return ['done', 'spill', 'held', 'scratch', 'staged'].map(name => join(this.directory, name))
  }

  private in(folder: string, name: string): string {
    mkdirSync(join(this.directory, folder), { recursive: true })
    return join(this.directory, folder, name)
  }
}
