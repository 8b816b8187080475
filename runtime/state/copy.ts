/** Deeper than any record is; what is nested further may be a cycle. */
const DEPTH_MAX = 64

/**
 * A copy of plain data, all the way down: objects, arrays, Dates, Maps, Sets and typed arrays. Instances of classes and functions stay as they are: they can be neither stored
 * nor sent, so they never outlive the call that made them.
 */
export function copyValue<T>(value: T): T {
  return typeof value === 'object' && value !== null ? copyObject(value, 0) : value
}

/** An object of which `{ ...value }` is a copy. */
export function isFlat(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name]
    if (typeof field === 'object' && field !== null) return false
  }
  return true
}

function copyObject(value: any, depth: number): any {
  if (depth > DEPTH_MAX) return structuredClone(value)
  if (Array.isArray(value)) {
    const copy = value.slice()
    for (let i = 0; i < copy.length; i++) {
      const element = copy[i]
      if (typeof element === 'object' && element !== null) copy[i] = copyObject(element, depth + 1)
    }
    return copy
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) {
    const copy = prototype === null ? Object.assign(Object.create(null), value) : { ...value }
    for (const name in copy) {
      const field = copy[name]
      if (typeof field === 'object' && field !== null) copy[name] = copyObject(field, depth + 1)
    }
    return copy
  }
  return copyBuiltIn(value, depth + 1)
}

function copyBuiltIn(value: any, depth: number): any {
  const inner = (v: any) => (typeof v === 'object' && v !== null ? copyObject(v, depth) : v)
  if (value instanceof Date) return new Date(value)
  if (value instanceof Map) return new Map(Array.from(value, ([k, v]) => [inner(k), inner(v)]))
  if (value instanceof Set) return new Set(Array.from(value, inner))
  if (value instanceof ArrayBuffer) return value.slice(0)
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (value instanceof DataView) return structuredClone(value)
  if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice()
  return value
}
