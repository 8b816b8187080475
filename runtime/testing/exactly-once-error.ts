import { MillraceError } from '../errors.ts'

/** Lines of the trace that the message has. */
const LINES = 30

/** What is known of a run that came to something else than it should. */
export interface FoundFailure {
  readonly seed: number
  /** What is wrong. */
  readonly problem: string
  /** Kinds of the fewest faults with which the seed still fails, in their order. */
  readonly faults: readonly string[]
  /** Of how many. */
  readonly faultsBefore: number
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
  readonly trace: readonly string[]

  constructor(failure: FoundFailure, options?: ErrorOptions) {
    super(textOf(failure), options)
    this.seed = failure.seed
    this.problem = failure.problem
    this.faults = failure.faults
    this.faultsBefore = failure.faultsBefore
    this.trace = failure.trace
  }
}

function textOf({ seed, problem, faults, faultsBefore, trace }: FoundFailure): string {
  const few = faults.length === 0 ? 'no fault at all' : `${faults.length} of its ${faultsBefore} faults: ${faults.join(', ')}`
  const shown = trace.length > LINES ? ` (of ${trace.length} lines; error.trace has them all)` : ''
  return [
    `seed ${seed}: ${problem}`,
    `It was found to fail with ${few}.`,
    `Again: expectExactlyOnce(app, input, { seed: ${seed} }), with the same options.`,
    `The last of what happens then${shown}:`,
    ...trace.slice(-LINES).map(line => `  ${line}`),
  ].join('\n')
}
