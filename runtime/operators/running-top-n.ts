import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { sendChange } from './change.ts'
import { KeyedOperator } from './keyed-operator.ts'
import type { Ranked, TopNOptions } from './top-n.ts'
import { userError } from './user-code.ts'

export const RUNNING_TOP_N_STATES: readonly StateDeclaration[] = [{ name: 'best', primitive: 'value' }]

/** The best `n` of all records of a key so far. A record that comes in moves those behind it one rank down: each of them changes. */
export class RunningTopNOperator<T> extends KeyedOperator {
  private readonly n: number
  private readonly compare: (a: T, b: T) => number

  constructor(options: Pick<TopNOptions<T>, 'n' | 'compare'>) {
    super()
    this.n = options.n
    this.compare = options.compare
  }

  protected onRecord(entry: KeyEntry, value: T, timestamp: number): void {
    const best: T[] = this.state.value(entry, 0, 0) ?? []
    const at = this.placeOf(best, value, timestamp)
    if (at === this.n) return
    const before = best.slice(at)
    best.splice(at, 0, value)
    if (best.length > this.n) best.pop()
    this.state.setValue(entry, 0, best, 0)
    for (let i = at; i < best.length; i++) {
      sendChange(this.ctx.output, ranked(i, before[i - at]), ranked(i, best[i]), timestamp, entry.key)
    }
  }

  /** Behind all that rank before it or equal. */
  private placeOf(best: readonly T[], value: T, timestamp: number): number {
    let at = best.length
    try {
      while (at > 0 && this.compare(value, best[at - 1]!) < 0) at--
    } catch (error) {
      throw userError(this.ctx, timestamp, 'the comparator of runningTopN', error)
    }
    return at
  }
}

function ranked<T>(index: number, value: T | undefined): Ranked<T> | undefined {
  return value === undefined ? undefined : { rank: index + 1, value }
}
