import { MillraceError } from '../errors.ts'

/** A test asked the kit for something that there is not, or that makes no sense there. */
export class TestKitError extends MillraceError {
  override readonly name = 'TestKitError'
}
