import { SnapshotOriginError, StateCorruptError, StateDirectoryInUseError, StateFormatError } from '../embedded/errors.ts'
import { MillraceError } from '../errors.ts'

/** What was typed, or the file that it names, is wrong: one sentence, exit code 2. */
export class UsageError extends MillraceError {
  override readonly name = 'UsageError'
}

/** What `work` refuses for good, or a directory in use, is the fault of what was typed; what may succeed later stays a failure. */
export async function asUsage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof MillraceError && (!error.retryable || error instanceof StateDirectoryInUseError))
      throw new UsageError(error.message, { cause: error })
    throw error
  }
}

/** Of a run: a state directory that it can't go on from was wrongly chosen; whatever else ends it is a failure. */
export async function directoryAsUsage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { StateMismatchError } = await import('../checkpoint/run-meta.ts')
    const refusals = [StateDirectoryInUseError, StateMismatchError, StateFormatError, StateCorruptError, SnapshotOriginError]
    if (refusals.some(refusal => error instanceof refusal)) throw new UsageError((error as Error).message, { cause: error })
    throw error
  }
}

/** So much of a cause's message tells that it is the one quoted. */
const QUOTED_CHARS = 200

/** An error on standard error: its message, what caused it, and the stacks when asked. */
export function errorText(error: unknown, verbose: boolean): string {
  if (verbose && error instanceof Error) return `millrace: ${withCauses(error)}`
  if (error instanceof UsageError) return `millrace: ${error.message}`
  const lines: string[] = []
  for (let e: unknown = error; e !== undefined && e !== null && lines.length < 5; e = e instanceof Error ? e.cause : undefined) {
    // Most messages already end with their cause's.
    const message = e instanceof Error ? e.message : String(e)
    if (!lines.some(line => line.includes(beginning(message)))) lines.push(messageOf(e))
  }
  return `millrace: ${lines.join('\n  caused by: ')}`
}

/** As messages quote it: in one line, which may have been cut. */
function beginning(message: string): string {
  return message.replace(/\s+/g, ' ').slice(0, QUOTED_CHARS)
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error instanceof MillraceError || error.name === 'Error' ? error.message : `${error.name}: ${error.message}`
  const operator = (error as { operator?: unknown }).operator
  return typeof operator === 'string' && !own.includes(operator) ? `${own} (in the operator ${operator})` : own
}

function withCauses(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by: ${withCauses(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}
