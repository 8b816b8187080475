import { MillraceError } from '../errors.ts'
import type { KeyPart } from '../graph/key.ts'

/** A state handle was used in a way it does not allow. */
export class StateError extends MillraceError {
  override readonly name = 'StateError'
}

/** A subkey that maps can hold; throws StateError for anything else. */
export function checkSubkey(state: string, key: unknown): asserts key is KeyPart {
  if (typeof key === 'string' || (typeof key === 'number' && !Number.isNaN(key))) return
  throw new StateError(
    `map state '${state}' was given ${typeof key === 'number' || key === null ? String(key) : typeof key} as a key: use a string or a number`,
  )
}
