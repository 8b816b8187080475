import { MillraceError } from '../errors.ts'
import type { KeyPart } from '../graph/key.ts'

/**
 * State that was asked for is not in memory. Internal: it ends the invocation of the user's function, whose effects are undone; the
 * runtime loads what is missing and calls the function again.
 */
export class StateMiss extends MillraceError {
  override readonly name = 'StateMiss'
  override readonly retryable = true
  readonly index: number
  readonly subkeys: readonly KeyPart[] | 'all'

  constructor(state: string, index: number, subkeys: readonly KeyPart[] | 'all') {
    super(`state '${state}' is not in memory; the runtime loads it and calls this function again (do not catch this error)`)
    this.index = index
    this.subkeys = subkeys
  }
}

/**
 * One invocation of a user's function that may miss state. It collects what the invocation does, to keep it or to undo it: writes are made at
 * once and can be taken back, effects (output, timers) wait until the function has come to its end.
 */
export class Guard {
  /** Remembered here, because the function may catch what was thrown. */
  readonly misses: StateMiss[] = []
  /** Objects that the invocation may change freely: copies, and what it put into the state itself. */
  private readonly owned = new Set<unknown>()
  private readonly undos: (() => void)[] = []
  private readonly effects: (() => void)[] = []

  own(value: unknown): void {
    if (isObject(value)) this.owned.add(value)
  }

  /** Whether a value has to be copied before the user gets it: a change in place could not be taken back. */
  mustCopy(value: unknown): boolean {
    return isObject(value) && !this.owned.has(value)
  }

  onUndo(undo: () => void): void {
    this.undos.push(undo)
  }

  defer(effect: () => void): void {
    this.effects.push(effect)
  }

  undo(): void {
    for (let i = this.undos.length - 1; i >= 0; i--) this.undos[i]!()
  }

  release(): void {
    for (const effect of this.effects) effect()
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
