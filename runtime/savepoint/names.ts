/** Written last: without it, there is no savepoint. */
export const METADATA = '_metadata'
const FILE_NAME = /^(segments|channels)\/[A-Za-z0-9_-]+$/

/** Whether a savepoint's manifest may name such a file. */
export function isDataFile(name: string): boolean {
  return FILE_NAME.test(name)
}

/** Whether a file of this name may be part of a savepoint. */
export function isSavepointFile(name: string): boolean {
  return name === METADATA || isDataFile(name)
}
