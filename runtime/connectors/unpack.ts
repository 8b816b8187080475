import { pipeline, Readable, type Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { UnreadableObjectError } from './unreadable-object.ts'
import { zstdFrames } from './zstd-frames.ts'

/** Of unpacked bytes: what a damaged object loses in front of the damage, at most. */
const CHUNK_BYTES = 128 << 10

/** Bytes as they were before they were packed. By the first ones, not by a name or a header, which may be wrong or missing: no JSON begins like this. */
export function unpacked(head: Uint8Array, bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  if (startsWith(head, [0x1f, 0x8b])) return named('gzip', gunzipped(bytes))
  if (startsWith(head, [0x28, 0xb5, 0x2f, 0xfd])) return named('zstd', unzstd(bytes))
  return bytes
}

function startsWith(head: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => head[i] === byte)
}

/** All members. */
function gunzipped(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return through(createGunzip({ chunkSize: CHUNK_BYTES }), bytes)
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
