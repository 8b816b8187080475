import type { KeySpec } from '../graph/graph.ts'
import { canonicalKey, KeyError, type KeyPart } from '../graph/key.ts'
import { recordOf, userError } from '../operators/user-code.ts'

/** Computes keys for the operator `operatorId`, which the keyBy stands before: what goes wrong names it. */
export function keyOf({ of, label }: KeySpec, operatorId: string): (value: any, timestamp: number) => KeyPart {
  return (value, timestamp) => {
    try {
      return canonicalKey(of(value), label)
    } catch (error) {
      if (error instanceof KeyError) throw new KeyError(`${recordOf(operatorId, timestamp)}: ${error.message}`, { cause: error })
      throw userError({ operatorId }, timestamp, `keyBy(${label})`, error)
    }
  }
}
