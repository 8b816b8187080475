import { MillraceError } from '../errors.ts'
import type { KeyPart } from '../graph/key.ts'

/** A state handle was used in a way it does not allow. */
export class StateError extends MillraceError {
  override readonly name = 'StateError'
}

/** A sort key of DynamoDB has 1 KB, and the state's name is in it too. */
const SUBKEY_BYTES_MAX = 800

/** A subkey that maps can hold; throws StateError for anything else. */
export function checkSubkey(state: string, key: unknown): asserts key is KeyPart {
  if (typeof key === 'string' && Buffer.byteLength(key) > SUBKEY_BYTES_MAX)
    throw new StateError(
      `map state '${state}' was given a key of ${key.length} characters, which is more than the ${SUBKEY_BYTES_MAX} bytes that a store has room for: use its hash`,
    )
  if (typeof key === 'string' || (typeof key === 'number' && !Number.isNaN(key))) return
  throw new StateError(
    `map state '${state}' was given ${typeof key === 'number' || key === null ? String(key) : typeof key} as a key: use a string or a number`,
  )
}
