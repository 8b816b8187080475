import type { KeySpec } from './graph.ts'

/** Declared alike: the same object, the same function, or the same fields in the same order. */
export function sameKey(a: KeySpec, b: KeySpec): boolean {
  if (a === b || a.of === b.of) return true
  if (a.fields === undefined || b.fields === undefined || a.fields.length !== b.fields.length) return false
  return a.fields.every((field, i) => field === b.fields![i])
}
