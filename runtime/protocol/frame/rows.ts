import type { Column } from './column-reader.ts'
import { setKey } from './value-reader.ts'

/** Builds the object of a row from the columns of its fields. */
export type RowBuilder = (columns: readonly Column[], row: number) => Record<string, unknown>

/** Compiling costs about as much as building this many rows without. */
const COMPILE_ROWS_MIN = 32
const COMPILED_MAX = 512
const compiled = new Map<string, RowBuilder>()

/**
 * The builder for a key list. Compiled to an object literal where the environment allows it: V8 then gives all rows one
 * hidden class at once. Kept by key list, so that frames share one function, and what V8 learnt about it.
 */
export function rowBuilder(keys: readonly string[], rows: number): RowBuilder {
  const id = JSON.stringify(keys)
  const known = compiled.get(id)
  if (known !== undefined) return known
  if (rows < COMPILE_ROWS_MIN) return interpreted(keys)
  if (compiled.size >= COMPILED_MAX) compiled.clear()
  const builder = compile(keys) ?? interpreted(keys)
  compiled.set(id, builder)
  return builder
}

function compile(keys: readonly string[]): RowBuilder | undefined {
  // A computed key: `__proto__` as a literal one would set the prototype.
  const fields = keys.map((key, i) => `${key === '__proto__' ? '["__proto__"]' : JSON.stringify(key)}: c[${i}][i]`)
  try {
    return new Function('c', 'i', `return {${fields.join(', ')}}`) as RowBuilder
  } catch {
    return undefined // code generation is forbidden here (--disallow-code-generation-from-strings)
  }
}

function interpreted(keys: readonly string[]): RowBuilder {
  return (columns, row) => {
    const object: Record<string, unknown> = {}
    for (let i = 0; i < keys.length; i++) setKey(object, keys[i]!, columns[i]![row])
    return object
  }
}
