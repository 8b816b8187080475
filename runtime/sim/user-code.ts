import type { Dice } from './random.ts'
import type { UserCode } from './scenario.ts'
import { type Simulation, Violation } from './simulation.ts'

/** A record is given up when it has failed three times alone. */
const SURPRISES_MAX = 2

export function openUserCode({ faults, scheduler }: Simulation, random: Dice, report: (violation: Violation) => void): UserCode {
  const thrown = new Map<number | string, number>()
  return {
    random: random.fraction,
    sleep: scheduler.sleep,
    broken: what => report(new Violation(`user code says: ${what}`)),
    maySurprise(id) {
      const times = thrown.get(id) ?? 0
      if (times >= SURPRISES_MAX || !faults.happens('user code throws', String(id))) return
      thrown.set(id, times + 1)
      throw new Error(`surprise at ${id}`)
    },
  }
}
