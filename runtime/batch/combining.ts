import type { KeyPart } from '../graph/key.ts'
import { userKey } from '../graph/key.ts'
import type { PhysicalStage, StageEdge } from '../graph/plan.ts'
import { UserCodeError, userError } from '../operators/user-code.ts'
import type { Combiner } from '../windows/combine.ts'

/** Accumulators that are kept, of all keys and panes. */
const ACCUMULATORS_MAX = 32 * 1024
/** What comes for a pane mostly comes together: of too many, those of the earliest panes go first, until this share is left. */
const KEPT = 1 / 2

/** Operators whose results depend on the records and their times alone, and not on where watermarks stood between them. */
const TIMELESS: ReadonlySet<string> = new Set(['map', 'flatMap', 'filter', 'select', 'topN', 'sink'])

/**
 * How the records of an edge are added up before they travel, undefined: not at all. Watermarks come in larger steps where fewer records come: nothing in the window's stage may depend
 * on that.
 */
export function combinerFor(consumer: PhysicalStage, { exchange, targets }: StageEdge): Combiner | undefined {
  if (exchange.kind !== 'key' || targets.length > 1) return undefined
  const { node } = targets[0]!
  return consumer.nodes.every(n => n.combine !== undefined || TIMELESS.has(n.type)) ? node.combine : undefined
}

/** Receives an accumulator. */
export type Drain = (accumulator: unknown, pane: number, key: KeyPart) => void

/** What was added up under one key: changed in place, where the map would have to be asked again. */
interface Sum {
  accumulator: unknown
}

/** Adds up the records of one edge by pane and key. */
export class Combining {
  private readonly combiner: Combiner
  private readonly operatorId: string
  private readonly drain: Drain
  private readonly panes = new Map<number, Map<KeyPart, Sum>>()
  private size = 0
  /** The pane that a record came for last. */
  private pane = Number.NaN
  private sums = new Map<KeyPart, Sum>()

  /** `operatorId`: the window's, for errors of its aggregate. */
  constructor(combiner: Combiner, operatorId: string, drain: Drain) {
    this.combiner = combiner
    this.operatorId = operatorId
    this.drain = drain
  }

  add(value: unknown, timestamp: number, key: KeyPart): void {
    const pane = this.combiner.paneOf(timestamp)
    if (pane !== this.pane) this.turnTo(pane)
    const sum = this.sums.get(key)
    if (sum !== undefined) {
      sum.accumulator = this.added(sum.accumulator, value, timestamp, key)
      return
    }
    this.sums.set(key, { accumulator: this.added(undefined, value, timestamp, key) })
    if (++this.size > ACCUMULATORS_MAX) this.flush(ACCUMULATORS_MAX * KEPT)
  }

  /** Hands out those of the earliest panes, until at most `left` are left. */
  flush(left: number): void {
    for (const pane of [...this.panes.keys()].sort((a, b) => a - b)) {
      if (this.size <= left) break
      const sums = this.panes.get(pane)!
      for (const [key, { accumulator }] of sums) this.drain(accumulator, pane, key)
      this.panes.delete(pane)
      this.size -= sums.size
    }
    this.pane = Number.NaN
  }

  private turnTo(pane: number): void {
    const sums = this.panes.get(pane) ?? new Map<KeyPart, Sum>()
    this.panes.set(pane, sums)
    this.pane = pane
    this.sums = sums
  }

  private added(accumulator: unknown, value: unknown, timestamp: number, key: KeyPart): unknown {
    try {
      return this.combiner.fold.add(accumulator, value)
    } catch (cause) {
      const error = userError({ operatorId: this.operatorId }, timestamp, 'the aggregate', cause)
      throw error instanceof UserCodeError ? error.withKey(userKey(key)) : error
    }
  }
}
