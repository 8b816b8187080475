import { MillraceError } from '../errors.ts'
import type { Edge, OperatorNode } from '../graph/graph.ts'
import type { Key } from '../graph/key.ts'
import { lending, lentOf, nowhere, type Receiver, WatermarkMerge } from '../operators/operator.ts'
import { keyOf } from './key-of.ts'

/** A keyBy that costs no shuffle because the records already run under that key found a record whose key had changed. */
export class KeyChangedError extends MillraceError {
  override readonly name = 'KeyChangedError'
}

/** Where records of a stage edge enter the chain. */
export interface Entrance {
  /** Of all the operators that read the edge. */
  readonly receiver: Receiver
  /** Computes the key where it does not travel. */
  readonly key: ((value: any) => any) | undefined
}

/** An edge inside the chain: which operator's output feeds which input, and the merge slot it updates. */
interface Link {
  readonly from: OperatorNode | undefined
  readonly slot: number
}

/** The watermark of one input of one operator: the minimum over the edges that feed it. */
interface Input {
  readonly merge: WatermarkMerge
  readonly links: Link[]
  readonly receiver: Receiver
}

/**
 * All receivers of one output. Whoever gets a record may do with it as it likes, as if it had come from another machine: so there is one object for each of them. `shares`: the
 * sender, or one of its other outputs, may have it as well.
 */
export function fanOut(all: readonly Receiver[], shares: boolean): Receiver {
  if (all.length === 0) return nowhere
  const lents = all.map(lentOf)
  const lent = toAll(lents)
  if (shares) return lent
  const last = all.at(-1)!
  return all.length === 1 ? last : { ...toAll([...lents.slice(0, -1), last]), lent }
}

function toAll(receivers: readonly Receiver[]): Receiver {
  if (receivers.length === 1) return receivers[0]!
  return lending(
    (value, timestamp, key) => {
      for (const r of receivers) r.record(value, timestamp, key)
    },
    timestamp => {
      for (const r of receivers) r.watermark(timestamp)
    },
  )
}

/** What stands in front of a receiver, and does the same in front of what that one is for lent values. */
function inFront(receiver: Receiver, recordTo: (to: Receiver) => Receiver['record'], watermark: Receiver['watermark']): Receiver {
  const lent = receiver.lent && lending(recordTo(receiver.lent), watermark)
  return { record: recordTo(receiver), watermark, lent }
}

/** Builds the inputs of one operator: receivers by upstream edge, merging watermarks where an input has several. */
export class Inputs {
  private readonly inputs: Input[]

  constructor(node: OperatorNode, receiverOf: (index: number) => Receiver, edgesOf: (index: number) => number) {
    this.inputs = node.inputs.map((_, i) => ({
      merge: new WatermarkMerge(Math.max(1, edgesOf(i))),
      links: [],
      receiver: receiverOf(i),
    }))
  }

  /** The receiver to push one upstream edge's records into. `from` undefined: the edge comes from another stage. */
  connect(index: number, from: OperatorNode | undefined): Receiver {
    const input = this.inputs[index]!
    const slot = input.links.push({ from, slot: input.links.length }) - 1
    const { merge, receiver } = input
    return inFront(
      receiver,
      to => (value, timestamp, key) => to.record(value, timestamp, key),
      timestamp => {
        if (merge.update(slot, timestamp)) receiver.watermark(merge.current)
      },
    )
  }

  /** After a restart: what each upstream had forwarded, without passing anything on. Gives the input's own watermark. */
  restore(index: number, forwarded: (from: OperatorNode | undefined) => number): number {
    const input = this.inputs[index]!
    for (const link of input.links) input.merge.update(link.slot, forwarded(link.from))
    return input.merge.current
  }

  get count(): number {
    return this.inputs.length
  }
}

/** Changes the key of records on their way inside a stage. */
export function rekey(edge: Edge, receiver: Receiver, verify: boolean, operatorId: string): Receiver {
  if (edge.exchange.kind !== 'key' || edge.exchange.inherited) return receiver
  const { key: spec } = edge.exchange
  const compute = keyOf(spec, operatorId)
  const recordTo = (to: Receiver): Receiver['record'] =>
    verify
      ? (value, timestamp, key) => {
          if (compute(value, timestamp) !== key) throw keyChanged(operatorId, spec.label, spec.of(value), key)
          to.record(value, timestamp, key)
        }
      : (value, timestamp) => to.record(value, timestamp, compute(value, timestamp))
  return inFront(receiver, recordTo, timestamp => receiver.watermark(timestamp))
}

function keyChanged(operatorId: string, label: string, found: Key, key: unknown): KeyChangedError {
  return new KeyChangedError(
    `keyBy(${label}) before the operator '${operatorId}' was planned without a shuffle because its records already run under this key, but one with key ${JSON.stringify(found)} came from a record with key ${JSON.stringify(key)}: an operator in between changed the key. Key by a function of your own there, which always shuffles`,
  )
}
