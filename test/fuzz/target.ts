import type { Dice } from '../../runtime/sim/random.ts'

/** Something that is given any input there may be: it has to answer rightly, or refuse it by name. */
export interface Target {
  readonly name: string
  /**
   * Makes one input, gives it to what is tested, and checks the answer.
   * @returns whether it was taken; false: it was refused, by a named error
   * @throws whatever is neither
   */
  once(dice: Dice): boolean
}
