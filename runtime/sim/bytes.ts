/** A Buffer's own slice() would be a view. */
export function copyBytes<T extends Uint8Array | undefined>(bytes: T): T {
  return (bytes === undefined ? undefined : new Uint8Array(bytes)) as T
}
