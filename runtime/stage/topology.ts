import type { Sink } from '../connectors/sink.ts'
import type { SourceConnector } from '../connectors/source.ts'
import type { OperatorNode } from '../graph/graph.ts'
import type { PhysicalPlan, PhysicalStage, StageEdge } from '../graph/plan.ts'
import { shapeOf } from '../graph/shape.ts'
import type { FrameId } from '../protocol/item.ts'
import { type StateBackend, TABLE } from '../state/backend.ts'
import { firstLayout, type Layout, openShards, overlap, type Shard } from './layout.ts'
import { type OutputShard, StageOutput } from './output.ts'

/** A stage with the number of subtasks that it began with. Producers are numbered over all stages, so that a frame names one with one number. */
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

/** Producers that took over from others have numbers from here on: so many for each stage. */
const LATER_PRODUCERS = 2 ** 24
const LATER_OF_STAGE = 2 ** 16

/** A subtask's number over all stages: those of the beginning are numbered in a row. */
export function producerOf(stage: number, shard: number, firstProducer: number, parallelism: number): number {
  return shard < parallelism ? firstProducer + shard : LATER_PRODUCERS + stage * LATER_OF_STAGE + shard
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
  private readonly layouts: Layout[]
  /** Rises when shards are split or merged. */
  epoch = 0

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
    this.layouts = this.stages.map(({ parallelism }) => firstLayout(parallelism, plan.options.keyGroups))
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

  /** What one subtask sends to the consumer stage. `sent`: its last frame on each channel; `closed`: of those that ended. */
  outputTo(
    consumer: number,
    edges: readonly StageEdge[],
    shards: readonly OutputShard[],
    sent: ReadonlyMap<number, FrameId>,
    closed: ReadonlyMap<number, FrameId>,
  ): StageOutput {
    const { output = (...args) => new StageOutput(...args) } = this.bindings
    return output(this.plan.stages[consumer]!, edges, shards, this.plan.options, this.compression, sent, closed)
  }

  /** The shards of a stage, as far as it is known here. */
  layout(stage: number): Layout {
    return this.layouts[stage]!
  }

  /** The shards of a stage were split or merged. What is older than what is known here is left alone. */
  adopt(stage: number, layout: Layout): void {
    if (layout.length <= this.layouts[stage]!.length) return
    this.layouts[stage] = layout
    this.epoch++
  }

  shard(stage: number, shard: number): Shard {
    return this.layouts[stage]![shard]!
  }

  /** How many subtasks work for a stage now. */
  parallelism(stage: number): number {
    return openShards(this.layouts[stage]!).length
  }

  /** All shards of a consumer stage, as one subtask sends to them. */
  outputShards(stage: number, shard: number, consumer: number): OutputShard[] {
    const keeps = this.stages[stage]!.parallelism === this.stages[consumer]!.parallelism
    return this.layouts[consumer]!.map(to => ({
      ...to,
      listens: this.listens(stage, shard, consumer, to.shard),
      own: !keeps || this.faces(stage, shard, consumer, to.shard),
    }))
  }

  /** Whether a subtask counts another one among its producers: it is sent its watermarks and barriers. */
  listens(from: number, producer: number, to: number, shard: number): boolean {
    return !this.keepsSubtask(from, to) || this.faces(from, producer, to, shard)
  }

  /** Two stages with as many subtasks: each has its counterpart, and what becomes of it when shards are split or merged. */
  private faces(from: number, producer: number, to: number, shard: number): boolean {
    const first = producer < this.stages[from]!.parallelism && shard < this.stages[to]!.parallelism
    return first ? producer === shard : overlap(this.shard(from, producer), this.shard(to, shard))
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
    const { firstProducer, parallelism } = this.stages[stage]!
    return producerOf(stage, shard, firstProducer, parallelism)
  }

  logOfProducer(producer: number): string {
    const { stage, shard } = this.subtaskOfProducer(producer)
    return this.log(stage, shard)
  }

  subtaskOfProducer(producer: number): { stage: number; shard: number } {
    if (producer >= LATER_PRODUCERS) {
      const later = producer - LATER_PRODUCERS
      return { stage: Math.floor(later / LATER_OF_STAGE), shard: later % LATER_OF_STAGE }
    }
    const at = this.stages.findLast(s => s.firstProducer <= producer)!
    return { stage: at.stage.index, shard: producer - at.firstProducer }
  }

  /** In the beginning: all subtasks that may send to one. Its watermark is the minimum over them, and each sends every barrier. */
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
