/**
 * Makes objects of these fields alone; a field that a value does not have is not made. Compiled to an object literal where the environment allows it (as frame/rows.ts): V8 then
 * gives all of them one hidden class at once.
 */
export function pickFields(fields: readonly string[]): (value: any) => Record<string, unknown> {
  const literal = literalOf(fields)
  if (literal === undefined) return value => pickEach(fields, value)
  return value => {
    for (let i = 0; i < fields.length; i++) if (!(fields[i]! in value)) return pickEach(fields, value)
    return literal(value)
  }
}

function pickEach(fields: readonly string[], value: any): Record<string, unknown> {
  const picked: Record<string, unknown> = {}
  for (const field of fields) if (field in value) picked[field] = value[field]
  return picked
}

/** An object with these fields of another one, as a literal. Undefined: it can't be compiled. */
export function literalOf(fields: readonly string[]): ((value: any) => Record<string, unknown>) | undefined {
  // As a literal's key it would set the prototype, and assigning it does so too: left to pickEach, as it always was.
  if (fields.includes('__proto__')) return undefined
  const pairs = [...new Set(fields)].map(field => `${JSON.stringify(field)}: v[${JSON.stringify(field)}]`)
  try {
    return new Function('v', `return {${pairs.join(', ')}}`) as (value: any) => Record<string, unknown>
  } catch {
    return undefined // code generation is forbidden here (--disallow-code-generation-from-strings)
  }
}
