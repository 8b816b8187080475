import type { StateAccess } from './access.ts'
import { StateError } from './error.ts'
import type { ReducingState } from './handles.ts'

export class ReducingHandle<T> implements ReducingState<T> {
  private readonly access: StateAccess
  private readonly index: number
  private readonly reduce: (accumulated: T, value: T) => T

  constructor(access: StateAccess, index: number, reduce: (accumulated: T, value: T) => T) {
    this.access = access
    this.index = index
    this.reduce = reduce
  }

  get(): T | undefined {
    return this.access.get(this.index)
  }

  add(value: T): void {
    const accumulated: T | undefined = this.access.read(this.index)
    const reduced = accumulated === undefined ? value : this.reduce(accumulated, value)
    if (reduced === undefined)
      throw new StateError(
        `the function of the reducing state '${this.access.nameOf(this.index)}' returned undefined; it has to return what is kept`,
      )
    this.access.write(this.index, reduced)
  }

  clear(): void {
    this.access.write(this.index, undefined)
  }
}
