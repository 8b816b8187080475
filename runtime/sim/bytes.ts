/** A Buffer's own slice() would be a view. The copy lies in Node's pool: memory of its own takes several times as long to get. */
export function copyBytes<T extends Uint8Array | undefined>(bytes: T): T {
  if (bytes === undefined) return bytes
  const { buffer, byteOffset, length } = Buffer.from(bytes)
  return new Uint8Array(buffer, byteOffset, length) as T
}
