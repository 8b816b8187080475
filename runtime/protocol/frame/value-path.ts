import { ByteWriter } from './byte-writer.ts'
import { DEPTH_MAX } from './limits.ts'
import { ShapeTable } from './shapes.ts'
import { Unserialisable, writeValue } from './value-writer.ts'

/**
 * Where in a value the part is that cannot be written, e.g. `$.user.socket`, `$[3]` or `$<map key>`; of a cycle where it closes. Slow (it writes every
 * part again): only called once a value has been refused, so that the encoder itself need not carry a path.
 */
export function unserialisablePath(value: unknown, path = '$', above: readonly unknown[] = []): string {
  // Deeper than values may be nested, without a cycle: it is the whole that is.
  if (above.length >= DEPTH_MAX) return '$'
  for (const [step, part] of parts(value)) {
    if (part === value || above.includes(part)) return path + step
    if (!isWritable(part)) return unserialisablePath(part, path + step, [...above, value])
  }
  return path
}

function isWritable(value: unknown): boolean {
  try {
    writeValue(new ByteWriter(), value, new ShapeTable())
    return true
  } catch (error) {
    if (error instanceof Unserialisable) return false
    throw error
  }
}

/** The parts of a container, each with its step in a path; none for a leaf or for something that is refused as a whole. */
function* parts(value: unknown): Iterable<[string, unknown]> {
  if (typeof value !== 'object' || value === null) return
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Array.prototype) for (const [i, item] of (value as unknown[]).entries()) yield [`[${i}]`, item]
  else if (prototype === Object.prototype || prototype === null)
    for (const [key, item] of Object.entries(value)) yield [/^[\w$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`, item]
  else if (prototype === Map.prototype)
    for (const [key, item] of value as Map<unknown, unknown>) {
      yield ['<map key>', key]
      yield [`<map value of ${typeof key === 'string' ? JSON.stringify(key) : typeof key}>`, item]
    }
  else if (prototype === Set.prototype) for (const item of value as Set<unknown>) yield ['<set element>', item]
}
