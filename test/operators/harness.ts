import type { KeyPart } from '../../runtime/graph/key.ts'
import { KeyedOperator } from '../../runtime/operators/keyed-operator.ts'
import type { Operator, Receiver } from '../../runtime/operators/operator.ts'
import type { StateDeclaration } from '../../runtime/state/declaration.ts'
import { KeyedState } from '../../runtime/state/keyed-state.ts'
import { ColdBase } from './cold-base.ts'
import { FakeClock } from './fake-clock.ts'

export interface Out {
  readonly value: any
  readonly timestamp: number
  readonly key: any
}

/** One operator, opened as a stage opens it, with what comes out of it. */
export class Harness<Op extends Operator> {
  readonly operator: Op
  readonly clock = new FakeClock()
  readonly base = new ColdBase()
  /** Main output: records, and watermarks as plain numbers, in order. */
  readonly log: (Out | number)[] = []
  readonly sides = new Map<string, Out[]>()
  readonly state: KeyedState
  random = 0
  /** Whether the commit is full, asked after each timer. */
  shouldYield: () => boolean = () => false
  private readonly inputs = new Map<number, Receiver>()

  private constructor(operator: Op, states: readonly StateDeclaration[]) {
    this.operator = operator
    this.state = new KeyedState(states)
  }

  static async open<Op extends Operator>(operator: Op, states: readonly StateDeclaration[] = []): Promise<Harness<Op>> {
    const harness = new Harness(operator, states)
    if (operator instanceof KeyedOperator) operator.state = harness.state
    await operator.open({
      operatorId: 'test',
      subtask: 0,
      parallelism: 1,
      output: collector(harness.log),
      side: tag => {
        let side = harness.sides.get(tag)
        if (side === undefined) {
          side = []
          harness.sides.set(tag, side)
        }
        return collector(side as (Out | number)[])
      },
      forwardWatermark: timestamp => harness.log.push(timestamp),
      now: harness.clock.now,
      sleep: harness.clock.sleep,
      random: () => harness.random,
      shouldYield: () => harness.shouldYield(),
    })
    return harness
  }

  get out(): Out[] {
    return this.log.filter(entry => typeof entry !== 'number')
  }

  get values(): any[] {
    return this.out.map(record => record.value)
  }

  side(id: string): any[] {
    return (this.sides.get(id) ?? []).map(record => record.value)
  }

  record(value: unknown, timestamp: number, key: KeyPart | undefined = 'k', input = 0): void {
    this.receiver(input).record(value, timestamp, key)
  }

  watermark(timestamp: number, input = 0): void {
    this.receiver(input).watermark(timestamp)
  }

  async drain(): Promise<void> {
    while (this.operator.pending) await this.operator.drain()
  }

  /** Ends a batch; what `evict` says is cold afterwards. */
  async commit(evict: (key: KeyPart) => boolean = () => true): Promise<void> {
    await this.drain()
    this.base.commit(this.state, evict)
  }

  private receiver(input: number): Receiver {
    let receiver = this.inputs.get(input)
    if (receiver === undefined) {
      receiver = this.operator.input(input)
      this.inputs.set(input, receiver)
    }
    return receiver
  }
}

function collector(into: (Out | number)[]): Receiver {
  return {
    record: (value, timestamp, key) => into.push({ value: structuredClone(value), timestamp, key }),
    watermark: timestamp => into.push(timestamp),
  }
}
