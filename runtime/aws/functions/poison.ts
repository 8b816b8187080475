import { UserCodeError } from '../../operators/user-code.ts'
import { KeyChangedError } from '../../stage/wiring.ts'
import { TooLargeError } from '../errors.ts'

/** How often a record that fails alone is tried, before it goes to the dead letters. */
export const POISON_TRIES = 3

/** Before try `n`, from 1. */
export const poisonWaitMs = (n: number) => 100 * 2 ** n

/** The record itself is at fault, not a service: the same would happen again. */
export function isPoison(error: unknown): error is Error {
  return error instanceof UserCodeError || error instanceof KeyChangedError || error instanceof TooLargeError
}
