import { MillraceError } from '../errors.ts'
import { excerpt } from '../sim/excerpt.ts'

/** Of the trace, beside those around its faults. */
const LINES = 10

/** What is known of a run that came to something else than it should. */
export interface FoundFailure {
  readonly seed: number
  /** What is wrong. */
  readonly problem: string
  /** Kinds of the fewest faults with which the seed still fails, in their order. */
  readonly faults: readonly string[]
  /** Of how many. */
  readonly faultsBefore: number
  /** The checkpoint that the run began with. Undefined: it was the first run, from the beginning of the input. */
  readonly checkpoint: number | undefined
  /** Something else came out; otherwise the run did not get so far, or broke a promise on its way. */
  readonly isDifference: boolean
  /** All that happens with those faults, line by line. */
  readonly trace: readonly string[]
}

/** A pipeline under faults came to something else than without. */
export class ExactlyOnceError extends MillraceError implements FoundFailure {
  override readonly name = 'ExactlyOnceError'
  readonly seed: number
  readonly problem: string
  readonly faults: readonly string[]
  readonly faultsBefore: number
  readonly checkpoint: number | undefined
  readonly isDifference: boolean
  readonly trace: readonly string[]

  constructor(failure: FoundFailure, options?: ErrorOptions) {
    super(textOf(failure), options)
    this.seed = failure.seed
    this.problem = failure.problem
    this.faults = failure.faults
    this.faultsBefore = failure.faultsBefore
    this.checkpoint = failure.checkpoint
    this.isDifference = failure.isDifference
    this.trace = failure.trace
  }
}

/** What the functions of a pipeline do, mostly, when something else comes out. */
const USUALLY =
  'Usually a function keeps something outside of its state (a variable, a cache, a file: declare it in `state`), or goes by the clock, by chance, or by the order between sources or shards (the option `same` leaves out what may differ).'

function textOf({ seed, problem, faults, faultsBefore, checkpoint, isDifference, trace }: FoundFailure): string {
  const few = faults.length === 0 ? 'no fault at all' : `${faults.length} of its ${faultsBefore} faults: ${faults.join(', ')}`
  const where = checkpoint === undefined ? '' : `, in the run that goes back to checkpoint ${checkpoint}`
  // Where nothing went wrong, what each function and service did says nothing.
  const shown = faults.length === 0 && isDifference ? [] : excerpt(trace, LINES)
  return [
    `seed ${seed}: ${problem}`,
    `It was found to fail with ${few}${where}.${faults.length === 0 && checkpoint === undefined ? ' The same input in other batches is enough.' : ''}`,
    ...(isDifference ? [USUALLY] : []),
    `Again: expectExactlyOnce(app, input, { seed: ${seed} }), with the same options.`,
    ...(shown.length === 0
      ? [`error.trace has the ${trace.length} lines of what happens then.`]
      : [`What happens around the faults, and at last (of ${trace.length} lines; error.trace has them all):`]),
    ...shown.map(line => `  ${line}`),
  ].join('\n')
}
