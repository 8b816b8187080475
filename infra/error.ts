import { MillraceError } from '../runtime/errors.ts'

/** The stack can't be made as it was asked for; says what to change. */
export class InfraError extends MillraceError {
  override readonly name = 'InfraError'
}
