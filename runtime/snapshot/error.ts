import { MillraceError } from '../errors.ts'

/** A snapshot, or a part of it, is not there, is damaged, or is of another format. Names the part. */
export class SnapshotError extends MillraceError {
  override readonly name = 'SnapshotError'
}
