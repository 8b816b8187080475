import { MillraceError } from '../errors.ts'

/** Something outside (a file, a server) is not as a source or sink needs it. The message names it and says what to do. */
export class ConnectorError extends MillraceError {
  override readonly name = 'ConnectorError'
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
