import { PipelineError } from './error.ts'

/** A function that must answer at once; async ones are refused here where it can be told, else at the first record. */
export function syncFunction(fn: unknown, operator: string, remedy: string): void {
  if (typeof fn !== 'function') throw new PipelineError(operator, `it was given ${describe(fn)} instead of a function`, remedy)
  const kind = fn.constructor.name
  if (kind === 'AsyncFunction' || kind === 'AsyncGeneratorFunction') {
    throw new PipelineError(
      operator,
      'its function is async, but records are processed synchronously',
      'Use mapAsync for calls that take time',
    )
  }
}

export function wholeNumber(value: unknown, least: number, operator: string, what: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number
  throw new PipelineError(operator, `${what} is ${describe(value)}`, `Give it a whole number of at least ${least}`)
}

export function oneOf<T extends string>(value: unknown, names: readonly T[], operator: string, what: string): T {
  if (names.includes(value as T)) return value as T
  throw new PipelineError(operator, `${what} is ${describe(value)}`, `Give it ${names.map(n => `'${n}'`).join(' or ')}`)
}

export function nonEmptyName(name: unknown, operator: string): string {
  if (typeof name === 'string' && name !== '') return name
  throw new PipelineError(operator, `its name is ${describe(name)}`, 'Give it a name that is a non-empty string')
}

export function describe(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'number' || typeof value === 'undefined' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}
