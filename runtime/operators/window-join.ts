import type { StateDeclaration } from '../state/declaration.ts'
import type { WindowAssigner } from '../windows/assigners.ts'
import { type ProcessWindowContext, type WindowOptions, windowStates } from '../windows/options.ts'
import type { Trigger } from '../windows/triggers.ts'
import type { OutputTag } from './output-tag.ts'
import { WindowOperator } from './window.ts'

/** Sees what both inputs have in a window, each in order of arrival; one of the two may be empty. */
export type CoGroupFunction<L, R, O> = (left: readonly L[], right: readonly R[], ctx: ProcessWindowContext<O>) => void

/** Makes a result of a pair that shares key and window. */
export type WindowJoinFunction<L, R, O> = (left: L, right: R, ctx: Pick<ProcessWindowContext<O>, 'key' | 'window'>) => O

/** Two keyed inputs in the same windows. Exactly one of `join` (all pairs) and `coGroup`. */
export interface WindowJoinOptions<L = any, R = any, O = any> {
  /** The operator's name, for errors. */
  readonly name: string
  readonly assigner: WindowAssigner<L | R>
  readonly trigger?: Trigger<L | R>
  /** Ms. */
  readonly allowedLateness?: number
  /** Side output for late records of either input. */
  readonly late?: OutputTag<L | R>
  readonly join?: WindowJoinFunction<L, R, O>
  readonly coGroup?: CoGroupFunction<L, R, O>
}

/** A buffered record with its input. */
type Sided = readonly [side: number, value: any]

/** Window join and coGroup: both inputs' records wait in the window they share, and meet when it fires. */
class WindowJoinOperator extends WindowOperator {
  constructor(options: WindowOptions) {
    super(options, 2)
  }

  protected override element(value: any, input: number): Sided {
    return [input, value]
  }

  protected override original(element: Sided): any {
    return element[1]
  }
}

/** Its state declarations are `windowJoinStates(options)`. Input 0 is the left one. Throws MillraceError for impossible options. */
export function createWindowJoinOperator(options: WindowJoinOptions): WindowOperator {
  return new WindowJoinOperator(asWindow(options))
}

/** The state that the operator declares, in the order of its indices. */
export function windowJoinStates(options: WindowJoinOptions): StateDeclaration[] {
  return windowStates(asWindow(options))
}

function asWindow(options: WindowJoinOptions): WindowOptions {
  const { join, coGroup, ...rest } = options
  const apply = coGroup ?? (join === undefined ? undefined : allPairs(join))
  if (apply === undefined) return rest // refused there: no function
  return {
    ...rest,
    process: (elements: readonly Sided[], ctx) => {
      const sides: [any[], any[]] = [[], []]
      for (const [side, value] of elements) sides[side === 0 ? 0 : 1].push(value)
      apply(sides[0], sides[1], ctx)
    },
  }
}

/** Left records in order of arrival, each with the right ones in theirs. */
function allPairs<L, R, O>(join: WindowJoinFunction<L, R, O>): CoGroupFunction<L, R, O> {
  return (left, right, ctx) => {
    for (const l of left) for (const r of right) ctx.emit(joined(join(l, r, ctx)))
  }
}

function joined<O>(result: O): O {
  if (typeof (result as PromiseLike<unknown> | undefined | null)?.then === 'function')
    throw new TypeError('join returned a Promise, but has to be synchronous; use mapAsync behind it')
  return result
}
