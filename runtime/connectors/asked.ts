import { MillraceError } from '../errors.ts'
import { describeError } from '../operators/user-code.ts'
import { ConnectorError } from './error.ts'

/** What a function among a sink's options gives. What it throws says where it comes from: `the SQS sink …: body() threw …`. */
export function asked<T>(where: string, name: string, ask: () => T): T {
  try {
    return ask()
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw new ConnectorError(`${where}: ${name}() threw ${describeError(error)}`, { cause: error })
  }
}

/** As `asked`, for what has to be a string that is not empty. */
export function askedText(where: string, name: string, ask: () => string): string {
  const text = asked(where, name, ask)
  if (typeof text === 'string' && text !== '') return text
  throw new ConnectorError(
    `${where}: ${name}() gave ${JSON.stringify(text) ?? typeof text}; it has to be a string that is not empty`,
  )
}

/** For what comes from the environment as often as not. */
export function checkAddress(where: string, name: string, value: string | undefined): void {
  if (typeof value !== 'string' || value === '')
    throw new ConnectorError(`${where} has no ${name}: set it, or the environment variable that it is taken from`)
}
