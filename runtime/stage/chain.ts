import { MillraceError } from '../errors.ts'
import type { OperatorNode } from '../graph/graph.ts'
import { canonicalKey } from '../graph/key.ts'
import type { PhysicalStage, StageEdge } from '../graph/plan.ts'
import { KeyedOperator } from '../operators/keyed-operator.ts'
import { nowhere, Operator, type OperatorContext, type Receiver } from '../operators/operator.ts'
import { SinkOperator } from '../operators/sink.ts'
import type { Firing } from '../protocol/item.ts'
import { KeyedState } from '../state/keyed-state.ts'
import { partialsOf } from '../windows/combine.ts'
import type { StageOutput } from './output.ts'
import { type Entrance, fanOut, Inputs, rekey } from './wiring.ts'

/** What the subtask lends to its operators. */
export type ChainContext = Pick<OperatorContext, 'subtask' | 'parallelism' | 'now' | 'sleep' | 'random' | 'shouldYield'>

interface Member {
  readonly node: OperatorNode
  readonly operatorId: string
  /** Undefined for the source itself. */
  readonly operator: Operator | undefined
  readonly inputs: Inputs | undefined
  /** Last watermark sent on. */
  forwarded: number
}

/** The operators of one subtask, wired: records go in at the entrances (or the source's outputs) and come out at the stage's outputs. */
export class Chain {
  /** By edge id. */
  readonly entrances = new Map<number, Entrance>()
  readonly keyed: KeyedOperator[] = []
  /** Operator ids of `keyed`, in the same order: chunks number operators by it. */
  readonly keyedIds: string[] = []
  readonly sinks: {
    readonly index: number
    readonly operatorId: string
    readonly node: OperatorNode
    readonly operator: SinkOperator
  }[] = []
  /** The source's main output and its dead letters. */
  sourceOutput: Receiver = nowhere
  sourceDeadLetters: Receiver = nowhere
  private readonly members: Member[]
  private readonly operators: Operator[]
  /** No operator does anything with a watermark but pass it on: a source's goes straight to the outputs, for it comes with each record. */
  private readonly transparent: boolean
  private readonly stage: PhysicalStage
  private readonly outputs: readonly StageOutput[]

  constructor(stage: PhysicalStage, outputs: readonly StageOutput[]) {
    this.stage = stage
    this.outputs = outputs
    this.members = stage.nodes.map(node => this.member(node))
    this.operators = this.members.flatMap(m => m.operator ?? [])
    this.transparent = this.operators.every(o => o.watermark === Operator.prototype.watermark)
    this.connect()
  }

  async open(context: ChainContext): Promise<void> {
    for (const m of this.members) {
      if (m.operator === undefined) continue
      const receivers = this.receiversOf.get(m.node)!
      const all = [...receivers.values()]
      await m.operator.open({
        ...context,
        operatorId: m.operatorId,
        output: receivers.get('out') ?? nowhere,
        side: tag => receivers.get(tag) ?? nowhere,
        forwardWatermark: timestamp => {
          m.forwarded = timestamp
          for (const r of all) r.watermark(timestamp)
        },
      })
    }
  }

  /** Pushes a watermark into every entrance, or out of the source. */
  watermark(timestamp: number): void {
    if (this.stage.source !== undefined) {
      this.members[0]!.forwarded = timestamp
      if (this.transparent) {
        for (const output of this.outputs) output.advance(timestamp)
        return
      }
      this.sourceOutput.watermark(timestamp)
      this.sourceDeadLetters.watermark(timestamp)
    } else for (const e of this.entrances.values()) e.receiver.watermark(timestamp)
  }

  /** Time of the earliest event timer of all operators. */
  get nextEventTimer(): number {
    let next = Number.POSITIVE_INFINITY
    for (const o of this.keyed) if (o.eventTimers.next < next) next = o.eventTimers.next
    return next
  }

  get nextProcessingTimer(): number {
    let next = Number.POSITIVE_INFINITY
    for (const o of this.keyed) if (o.processingTimers.next < next) next = o.processingTimers.next
    return next
  }

  get pending(): boolean {
    for (const o of this.operators) if (o.pending) return true
    return false
  }

  /** Until no operator waits for anything. Upstream first, so that one pass is enough; what yields stays so. */
  async drain(): Promise<void> {
    for (const o of this.operators) if (o.pending) await o.drain()
  }

  /** False: the commit is full, and timers may be left that are due. */
  async fireProcessingTimers(now: number): Promise<boolean> {
    for (const o of this.keyed) {
      const all = await o.fireProcessingTimers(now)
      await this.drain()
      if (!all) return false
    }
    return true
  }

  get yielded(): KeyedOperator[] {
    return this.keyed.filter(o => o.yielded)
  }

  /** For the commit item. */
  firing(): { firing: Firing[]; operatorWatermarks: number[] | undefined } {
    const firing = this.keyed.flatMap((o, operator) => (o.firingUpTo === undefined ? [] : { operator, upTo: o.firingUpTo }))
    return { firing, operatorWatermarks: firing.length === 0 ? undefined : this.members.map(m => m.forwarded) }
  }

  /** Puts every watermark back to where it was at the commit that `firing` comes from. */
  restoreWatermarks(stageWatermark: number, operatorWatermarks: readonly number[] | undefined, firing: readonly Firing[]): void {
    const forwarded = new Map<OperatorNode | undefined, number>([[undefined, stageWatermark]])
    this.members.forEach((m, i) => {
      m.forwarded = operatorWatermarks?.[i] ?? stageWatermark
      forwarded.set(m.node, m.forwarded)
    })
    for (const m of this.members) {
      if (m.inputs === undefined) continue
      const inputs = Array.from({ length: m.inputs.count }, (_, i) => m.inputs!.restore(i, from => forwarded.get(from)!))
      if (m.operator instanceof KeyedOperator) {
        const upTo = firing.find(f => this.keyed[f.operator] === m.operator)?.upTo
        m.operator.restoreWatermarks(inputs, m.forwarded, upTo)
      } else m.operator!.restoreWatermark(Math.min(...inputs))
    }
    for (const output of this.outputs) {
      output.restoreWatermarks(edge => forwarded.get(edge.fromNode)!)
    }
  }

  async close(): Promise<void> {
    const closed = await Promise.allSettled(this.operators.map(async o => o.close()))
    const failed = closed.find(c => c.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  private member(node: OperatorNode): Member {
    const operatorId = this.stage.ids.get(node)!
    if (node.source !== undefined)
      return { node, operatorId, operator: undefined, inputs: undefined, forwarded: Number.NEGATIVE_INFINITY }
    const operator = node.sink === undefined ? node.create!() : new SinkOperator()
    if (operator instanceof KeyedOperator) {
      operator.state = new KeyedState(node.states, operatorId)
      this.keyed.push(operator)
      this.keyedIds.push(operatorId)
    } else if (node.states.length > 0) {
      throw new MillraceError(`operator ${operatorId} declares state but is no keyed operator`)
    }
    if (operator instanceof SinkOperator) this.sinks.push({ index: this.sinks.length, operatorId, node, operator })
    const edges = (i: number) => node.inputs[i]!.filter(e => this.isLocal(e.from)).length + this.boundary(node, i)
    return {
      node,
      operatorId,
      operator,
      inputs: new Inputs(node, i => operator.input(i), edges),
      forwarded: Number.NEGATIVE_INFINITY,
    }
  }

  private isLocal(node: OperatorNode): boolean {
    return this.stage.nodes.includes(node)
  }

  /** How many edges from other stages lead to one input. */
  private boundary(node: OperatorNode, input: number): number {
    return this.stage.inputs.flatMap(e => e.targets).filter(t => t.node === node && t.input === input).length
  }

  private entrance({ exchange, carryKey, targets }: StageEdge): Entrance {
    const receivers = targets.map(t => this.members.find(m => m.node === t.node)!.inputs!.connect(t.input, undefined))
    const key = carryKey || exchange.kind !== 'key' ? undefined : (v: any) => canonicalKey(exchange.key.of(v), exchange.key.label)
    return { receiver: fanOut(receivers, false), key }
  }

  private readonly receiversOf = new Map<OperatorNode, Map<string, Receiver>>()

  private connect(): void {
    const lists = new Map<OperatorNode, Map<string, Receiver[]>>(this.members.map(m => [m.node, new Map()]))
    const add = (from: OperatorNode, output: string, receiver: Receiver) => {
      const outputs = lists.get(from)!
      outputs.set(output, [...(outputs.get(output) ?? []), receiver])
    }
    for (const m of this.members) {
      m.node.inputs.forEach((edges, i) => {
        for (const edge of edges) {
          if (this.isLocal(edge.from))
            add(edge.from, edge.output, rekey(edge, m.inputs!.connect(i, edge.from), this.stage.verified.has(edge), m.operatorId))
        }
      })
    }
    for (const edge of this.stage.inputs) {
      this.entrances.set(edge.id, this.entrance(edge))
      const partials = this.members.find(m => m.node === edge.targets[0]!.node)!.operator!.partials
      if (partials !== undefined) this.entrances.set(partialsOf(edge.id), { receiver: partials, key: undefined })
    }
    for (const output of this.outputs) {
      for (const edge of output.edges) add(edge.fromNode, edge.output, output.receiver(edge))
    }
    for (const { node, operator } of this.members) {
      const outputs = [...lists.get(node)!]
      const shares = operator?.shares ?? false
      this.receiversOf.set(node, new Map(outputs.map(([tag, receivers]) => [tag, fanOut(receivers, shares)])))
    }
    if (this.stage.source !== undefined) {
      const receivers = this.receiversOf.get(this.stage.source)!
      this.sourceOutput = receivers.get('out') ?? nowhere
      this.sourceDeadLetters = receivers.get('dead-letters') ?? nowhere
    }
  }
}
