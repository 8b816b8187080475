import type { StateAccess } from './access.ts'
import type { ValueState } from './handles.ts'

export class ValueHandle<T> implements ValueState<T> {
  private readonly access: StateAccess
  private readonly index: number

  constructor(access: StateAccess, index: number) {
    this.access = access
    this.index = index
  }

  get(): T | undefined {
    return this.access.get(this.index)
  }

  set(value: T): void {
    this.access.write(this.index, value)
  }

  clear(): void {
    this.access.write(this.index, undefined)
  }
}
