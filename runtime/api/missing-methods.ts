import { PipelineError } from './error.ts'

/**
 * For those whose code no compiler checks: a method that makes no sense on a class says what does, where there would only be "is not a function". Types know nothing
 * of it. Methods that a class, or one that extends it, has of its own stay.
 */
export function refuseMethods(
  prototype: object,
  methods: readonly string[],
  problem: string,
  remedy: (method: string) => string,
): void {
  for (const method of methods) {
    const value = () => {
      throw new PipelineError(method, problem, remedy(method))
    }
    if (!(method in prototype)) Object.defineProperty(prototype, method, { value, configurable: true, writable: true })
  }
}
