import { pipeline, Readable, type Transform } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { gunzipped } from './gunzip.ts'
import { UnreadableObjectError } from './unreadable-object.ts'
import { zstdFrames } from './zstd-frames.ts'

/** Of unpacked bytes: what a damaged object loses in front of the damage, at most. */
const CHUNK_BYTES = 128 << 10

/** Bytes as they were before they were packed. By the first ones, not by a name or a header, which may be wrong or missing: no JSON begins like this. */
export function unpacked(head: Uint8Array, bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const format = packedAs(head)
  if (format === 'gzip') return named(format, gunzipped(bytes, CHUNK_BYTES))
  return format === 'zstd' ? named(format, unzstd(bytes)) : bytes
}

/** By the first four bytes. zstd may begin with a frame that holds nothing, as pzstd's does. */
export function packedAs([a, b, c, d]: Uint8Array): 'gzip' | 'zstd' | undefined {
  if (a === 0x1f && b === 0x8b) return 'gzip'
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd'
  return a !== undefined && a >> 4 === 5 && b === 0x2a && c === 0x4d && d === 0x18 ? 'zstd' : undefined
}

async function* unzstd(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const frame of zstdFrames(bytes)) yield* through(createZstdDecompress({ chunkSize: CHUNK_BYTES }), frame)
}

function through(unpack: Transform, bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  // Whoever reads from `unpack` sees the error.
  pipeline(Readable.from(bytes, { highWaterMark: 1 }), unpack, () => {})
  return unpack
}

async function* named(format: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!isDamage(code)) throw error
    const problem = code === 'Z_BUF_ERROR' ? 'was cut off' : 'is damaged'
    throw new UnreadableObjectError(`its ${format} ${problem} (${message})`, { cause: error })
  }
}

/** Of the bytes; that memory is missing is no fault of theirs. */
function isDamage(code: string | undefined): boolean {
  return code !== undefined && /^(Z_(DATA|BUF)_ERROR|Z_NEED_DICT|ZSTD_error_(?!memory_allocation))/.test(code)
}
