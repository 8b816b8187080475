import type { Blobs } from '../../ports.ts'

/** Undefined: there is none. */
export async function readJsonBlob<T>(blobs: Pick<Blobs, 'get'>, key: string): Promise<T | undefined> {
  const bytes = await blobs.get(key)
  return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString()) as T)
}

export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}
