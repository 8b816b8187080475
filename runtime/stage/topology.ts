import type { Sink } from '../connectors/sink.ts'
import type { SourceConnector } from '../connectors/source.ts'
import type { OperatorNode } from '../graph/graph.ts'
import type { PhysicalPlan, PhysicalStage, StageEdge } from '../graph/plan.ts'
import { shapeOf } from '../graph/shape.ts'
import { type StateBackend, TABLE } from '../state/backend.ts'
import { type OutputSubtasks, StageOutput } from './output.ts'

/** A stage with its number of subtasks. Producers are numbered over all stages, so that a frame names one with one number. */
export interface StageTopology {
  readonly stage: PhysicalStage
  readonly parallelism: number
  readonly firstProducer: number
}

/** What the run puts in the place of the connectors that the pipeline names. */
export interface Bindings {
  readonly sources?: Readonly<Record<string, SourceConnector>>
  readonly sinks?: Readonly<Record<string, Sink<any>>>
  /** Names of each source's splits, by subtask: for people who look for a dead letter. */
  readonly splits?: ReadonlyMap<string, readonly string[]>
  /** Checkpoints hold the state itself, so that another run can start from them. Default false. */
  readonly snapshots?: boolean
  /** Frames are compressed: worth it where bytes are paid for, or travel. (Chunks always are: they stay for longer.) Default true. */
  readonly compression?: boolean
  /** Makes the output of a stage where there are no streams between stages (runtime/batch). */
  readonly output?: (...args: ConstructorParameters<typeof StageOutput>) => StageOutput
  /** Where keyed state lies behind the log. Default: a table. */
  readonly stateBackend?: StateBackend
}

/** Who there is in one run of a plan, and what their streams and logs are called. */
export class Topology {
  readonly run: string
  readonly pipeline: string
  readonly plan: PhysicalPlan
  readonly stages: readonly StageTopology[]
  /** What state depends on (graph/shape.ts). */
  readonly shape: string

  private readonly bindings: Bindings

  /** `sourceSplits`: subtasks of each source stage, by its index. */
  constructor(
    plan: PhysicalPlan,
    pipeline: string,
    run: string,
    sourceSplits: ReadonlyMap<number, number>,
    bindings: Bindings = {},
  ) {
    this.plan = plan
    this.bindings = bindings
    this.pipeline = pipeline
    this.run = run
    this.shape = shapeOf(plan)
    let next = 0
    this.stages = plan.stages.map(stage => {
      const parallelism = stage.source === undefined ? stage.parallelism : (sourceSplits.get(stage.index) ?? 1)
      const firstProducer = next
      next += parallelism
      return { stage, parallelism, firstProducer }
    })
  }

  /** Whether checkpoints hold the state itself. */
  get snapshots(): boolean {
    return this.bindings.snapshots ?? false
  }

  get compression(): boolean {
    return this.bindings.compression ?? true
  }

  get stateBackend(): StateBackend {
    return this.bindings.stateBackend ?? TABLE
  }

  get splits(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(this.bindings.splits ?? [])
  }

  /** What one subtask sends to the consumer stage. */
  outputTo(consumer: number, edges: readonly StageEdge[], subtasks: OutputSubtasks): StageOutput {
    const { output = (...args) => new StageOutput(...args) } = this.bindings
    return output(this.plan.stages[consumer]!, edges, subtasks, this.plan.options, this.compression)
  }

  sinkOf(node: OperatorNode): Sink<any> {
    return this.bindings.sinks?.[node.sink!.name] ?? node.sink!.sink
  }

  splitOf(source: string, shard: number): string {
    return this.bindings.splits?.get(source)?.[shard] ?? `split ${shard}`
  }

  stream(stage: number): string {
    return `${this.run}/${this.stages[stage]!.stage.id}`
  }

  log(stage: number, shard: number): string {
    return `${this.run}/${this.stages[stage]!.stage.id}/${shard}`
  }

  producer(stage: number, shard: number): number {
    return this.stages[stage]!.firstProducer + shard
  }

  logOfProducer(producer: number): string {
    const at = this.stages.findLast(s => s.firstProducer <= producer)!
    return this.log(at.stage.index, producer - at.firstProducer)
  }

  /** All subtasks that may send to one: its watermark is the minimum over them, and each sends every barrier. */
  producersOf(stage: number, shard: number): number[] {
    const upstream = [...new Set(this.stages[stage]!.stage.inputs.map(e => e.fromStage))]
    return upstream.flatMap(from => {
      if (this.keepsSubtask(from, stage)) return [this.producer(from, shard)]
      return Array.from({ length: this.stages[from]!.parallelism }, (_, i) => this.producer(from, i))
    })
  }

  /**
   * Whether records go from subtask i of one stage to subtask i of the other only: they stay under their key, or have none. Then i alone is heard, so
   * that lateness is judged as if the two stages were one.
   */
  keepsSubtask(from: number, to: number): boolean {
    if (this.stages[from]!.parallelism !== this.stages[to]!.parallelism) return false
    const edges = this.stages[to]!.stage.inputs.filter(e => e.fromStage === from)
    return edges.every(({ exchange }) => exchange.kind === 'forward' || (exchange.kind === 'key' && exchange.inherited))
  }

  /** Stages that read from `stage`. */
  consumersOf(stage: number): number[] {
    return [...new Set(this.stages[stage]!.stage.outputs.map(e => e.toStage))]
  }
}
