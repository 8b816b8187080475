import type { Faults } from './faults.ts'
import type { Dice } from './random.ts'
import type { Scheduler } from './scheduler.ts'

/** What all parts of one simulation share. */
export interface Simulation {
  readonly scheduler: Scheduler
  readonly dice: Dice
  readonly faults: Faults
  /** A line for people, and for comparing two runs. Undefined: nobody wants it. */
  readonly trace: ((line: string) => void) | undefined
}

/** A broken promise of the runtime: the run ends here. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** … of which only what came out tells. */
export class Difference extends Violation {}
