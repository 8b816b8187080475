import type { KeyPart } from '../graph/key.ts'
import type { KeyEntry } from '../state/entry.ts'
import { compareParts } from '../state/timers.ts'

/** The one timer of a round, in the place of one for each key. */
export const ROUND: KeyPart = ''

/** The keys that have a window which ends at one time. */
interface Round {
  readonly entries: KeyEntry[]
  /** The next to fire; undefined: it has not begun, and they are in no order yet. */
  next: number | undefined
}

/**
 * Which keys have a window that ends when: for an operator whose timers nobody logs, and whose keys are all in memory. A timer of its own for each takes several looks into large maps whenever it fires; here those of a
 * window are gone through as a list, in the order in which their timers would fire, and go on to the list of the next window.
 */
export class WindowRounds {
  private readonly rounds = new Map<number, Round>()
  /** Mostly the same is asked for again. */
  private lastAt = Number.NaN
  private last: Round | undefined

  /** A key may come more than once for one time, and fires once. True: it is the first. */
  add(at: number, entry: KeyEntry): boolean {
    if (at === this.lastAt) {
      this.last!.entries.push(entry)
      return false
    }
    const known = this.rounds.get(at)
    const round = known ?? { entries: [], next: undefined }
    if (known === undefined) this.rounds.set(at, round)
    this.lastAt = at
    this.last = round
    round.entries.push(entry)
    return known === undefined
  }

  /** Fires the keys of a time one after the other, as long as `fire` does not say that it was the last for now. False: some are left. Nobody may add to them any more. */
  fire(at: number, fire: (entry: KeyEntry) => boolean): boolean {
    const round = this.rounds.get(at)!
    const { entries } = round
    if (round.next === undefined) {
      entries.sort((a, b) => compareParts(a.key, b.key))
      round.next = 0
    }
    while (round.next < entries.length) {
      const entry = entries[round.next++]!
      while (entries[round.next] === entry) round.next++
      if (!fire(entry)) break
    }
    if (round.next < entries.length) return false
    this.rounds.delete(at)
    this.lastAt = Number.NaN
    return true
  }

  /** What has not fired. */
  *left(): Generator<{ readonly at: number; readonly key: KeyPart }> {
    for (const [at, { entries, next = 0 }] of this.rounds)
      for (let i = next; i < entries.length; i++) yield { at, key: entries[i]!.key }
  }

  /** When they do. */
  times(): IterableIterator<number> {
    return this.rounds.keys()
  }
}
