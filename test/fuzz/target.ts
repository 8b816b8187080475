import type { Dice } from '../../runtime/sim/random.ts'

/** Something that is given any input there may be: it has to answer rightly, or refuse it by name. */
export interface Target {
  readonly name: string
  /**
   * Makes one input, gives it to what is tested, and checks the answer.
   * @returns whether it was taken; false: it was refused, by a named error
   * @throws whatever is neither
   */
  once(dice: Dice): boolean | Promise<boolean>
}

/** False where `work` is refused by an error of these classes; any other error is one of the reader's own. */
export function taken(work: () => void, ...refusals: readonly (new (...args: any[]) => Error)[]): boolean {
  try {
    work()
    return true
  } catch (error) {
    if (refusals.some(refusal => error instanceof refusal)) return false
    throw error
  }
}
