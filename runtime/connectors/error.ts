import { MillraceError } from '../errors.ts'

/** Something outside (a file, a server) is not as a source or sink needs it. The message names it and says what to do. */
export class ConnectorError extends MillraceError {
  override readonly name = 'ConnectorError'
}

/** Something outside was away, or overloaded, for all the tries that there were: it may answer later. */
export class UnreachableError extends MillraceError {
  override readonly name = 'UnreachableError'
  override readonly retryable = true
}

/** The text of anything that was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What went wrong with a file, in words. */
export function fileReason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (code === 'EISDIR') return 'it is a directory'
  if (code === 'EROFS') return 'the file system is read-only'
  if (code === 'ENOSPC') return 'the disk is full'
  return reasonOf(error)
}

/** Errors that are not Millrace's own say what they are about. */
export async function failingAs<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw new ConnectorError(`${where} failed: ${reasonOf(error)}`, { cause: error })
  }
}
