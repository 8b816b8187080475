import assert from 'node:assert/strict'

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const words = (data: Uint8Array): string => new TextDecoder().decode(data)

/** Bytes that differ everywhere and don't compress, the same for the same seed. */
export function noise(length: number, seed = 1): Uint8Array {
  const data = new Uint8Array(length)
  let x = (seed * 2 + 1) | 0
  for (let i = 0; i < length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    data[i] = x
  }
  return data
}

export function assertBytes(actual: Uint8Array | undefined | string, expected: Uint8Array, what = 'bytes'): void {
  assert.ok(actual instanceof Uint8Array, `${what}: ${actual} instead of ${expected.byteLength} bytes`)
  assert.ok(
    Buffer.compare(actual, expected) === 0,
    `${what}: ${actual.byteLength} bytes differ from the expected ${expected.byteLength}`,
  )
}

/** The order of keys everywhere: SQLite, DynamoDB and S3 compare UTF-8; JavaScript's own order differs beyond U+FFFF. */
export const byUtf8 = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** In UTF-8 order. The last two are the other way round in UTF-16. */
export const orderedKeys = ['!', '0', '10', '9', 'A', 'Z', 'a', 'a/b', 'ab', 'z', 'é', '日本', '\uffee', '😀'] as const
