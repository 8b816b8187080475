import { MillraceError } from '../errors.ts'

/**
 * A pipeline was put together wrongly. Thrown while the file that declares it is imported, or when its plan is made; nothing has run yet.
 * The message names the operator and says what to do.
 */
export class PipelineError extends MillraceError {
  override readonly name = 'PipelineError'
  /** The operator as the user called it, such as `map` or `keyBy('user_id')`. */
  readonly operator: string

  constructor(operator: string, problem: string, remedy: string) {
    super(`${operator}: ${problem}. ${remedy}`)
    this.operator = operator
  }
}
