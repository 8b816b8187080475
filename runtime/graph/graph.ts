import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Sink } from '../connectors/sink.ts'
import type { SourceConnector } from '../connectors/source.ts'
import type { Operator } from '../operators/operator.ts'
import type { StateBackendName } from '../state/backend.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { WatermarkStrategy } from '../time/strategy.ts'
import type { Combiner } from '../windows/combine.ts'
import type { Key } from './key.ts'

/** A declared key. Two keyBys with the same fields, the same function or the same KeySpec partition alike. */
export interface KeySpec {
  readonly label: string
  /** The fields that make the key, when it was declared by name; then it need not travel. */
  readonly fields?: readonly string[]
  readonly of: (value: any) => Key
}

/** How records get from one operator to the next. */
export type Exchange =
  /** Where they are: same subtask. Sources to stateless operators, and so on. To another number of subtasks, each gets one in turn. */
  | { readonly kind: 'forward' }
  /** By key. `inherited`: the records already run under this key (no keyBy in between), so it is carried, not computed. */
  | { readonly kind: 'key'; readonly key: KeySpec; readonly inherited: boolean }
  /** To every subtask. */
  | { readonly kind: 'broadcast' }

export interface Edge {
  readonly from: OperatorNode
  /** `out`, or a side output's tag. */
  readonly output: string
  readonly exchange: Exchange
}

/** One operator of the logical graph: declared by the API, placed into a stage by the planner, made by each subtask. */
export interface OperatorNode {
  /** Order of declaration, from 0. */
  readonly index: number
  /** The kind of operator as the user calls it: map, filter, window, sink … */
  readonly type: string
  /** Settable by `.uid()`, `.name()`, `.parallelism()` until the plan is made. */
  uid?: string
  name: string
  parallelism?: number
  /** Upstream edges by input; an input with several edges is a union. */
  readonly inputs: readonly (readonly Edge[])[]
  /** The key that the outputs run under, if any: the last keyBy's. */
  readonly key?: KeySpec
  /** May be copied into several upstream stages instead of forcing a shuffle (map, filter, flatMap, mapAsync). */
  readonly stateless: boolean
  readonly states: readonly StateDeclaration[]
  /** Makes the instance for one subtask. Undefined for sources. */
  readonly create?: () => Operator
  readonly source?: SourceSpec
  readonly sink?: SinkSpec
  /**
   * Fields of the input's values that this operator reads, where that can be told (declarative operators); undefined: all.
   * `passes`: hands its input on unchanged, so that what is needed downstream is needed here too.
   */
  readonly reads?: { readonly fields: readonly string[]; readonly passes: boolean }
  /** How its records may be added up before they travel to it. */
  readonly combine?: Combiner | undefined
  /** It may have side outputs: `.sideOutput()` makes sense behind it. */
  readonly sideOutputs?: boolean
  /** For printing: windows, sizes, capacity … */
  readonly detail?: string
}

export interface SourceSpec {
  readonly name: string
  readonly connector?: SourceConnector
  readonly schema: StandardSchemaV1<unknown, unknown>
  readonly timestamp: (value: any) => number
  readonly watermark: WatermarkStrategy
}

export interface SinkSpec {
  readonly name: string
  readonly sink: Sink<any>
  /** Its records are changes of a table, to be folded by what shows the table. */
  readonly changelog?: boolean
}

export interface LogicalGraph {
  readonly name: string
  readonly options: PipelineOptions
  readonly nodes: readonly OperatorNode[]
}

/** Settings of a whole pipeline; see `pipeline`. */
export interface PipelineOptions {
  /** Subtasks of each stage unless an operator says otherwise. Default 1. */
  readonly parallelism?: number
  /** Unit of rescaling; fixed for the life of the pipeline's state. Default 128. */
  readonly keyGroups?: number
  /**
   * Watermarks travel when they have advanced by this much event time (ms). Default 0: after each record, which makes the fate of late
   * records independent of batch boundaries.
   */
  readonly watermarkStep?: number
  /**
   * Where keyed state lies behind the log: in a `table` (default), an item for each entry, or in `segments`, sorted files, which cost less where many keys change. What runs the
   * pipeline may choose another one.
   */
  readonly stateBackend?: StateBackendName
}
