import { constants, zstdDecompressSync } from 'node:zlib'
import { readBody } from './frame/body-reader.ts'
import { FrameCursor } from './frame/cursor.ts'
import { FrameError } from './frame/error.ts'
import { checkFrame, type FrameHeader, type FramePrefix, readPrefix } from './frame/header.ts'

export type { FrameCursor } from './frame/cursor.ts'
export { FrameError, type FrameErrorCode } from './frame/error.ts'
export { ENTRY_BARRIER, ENTRY_RECORD, ENTRY_WATERMARK } from './frame/group.ts'
export type { FrameHeader } from './frame/header.ts'
export { FrameWriter } from './frame/writer.ts'

/** A frame whose body has been verified. */
export interface Frame {
  readonly header: FrameHeader
  /** Entries. */
  readonly count: number
  /** Of its body, before compression. */
  readonly bytes: number
  /** A cursor before the first entry. Cursors share nothing that user code could change through another. */
  reader(): FrameCursor
}

/**
 * The header only: cheap, the body is neither decompressed nor checked beyond its length.
 * @throws FrameError `magic`, `version`, `checksum`, `truncated`, `corrupt`
 */
export function readHeader(data: Uint8Array): FrameHeader {
  return readPrefix(data).header
}

/**
 * A whole frame, verified: after this returns, reading it cannot fail. `data` must not change while the frame is in use.
 * @throws FrameError `magic`, `version`, `checksum`, `truncated`, `corrupt`
 */
export function readFrame(data: Uint8Array): Frame {
  const prefix = readPrefix(data)
  checkFrame(data, prefix)
  const raw = unpack(data.subarray(prefix.bodyStart, prefix.bodyEnd), prefix)
  // Decoded here, so that errors come here. Further readers decode again: values are mutable, and belong to who reads them.
  let first: ReturnType<typeof readBody> | undefined = readBody(raw, prefix.count)
  const reader = () => {
    const body = first ?? readBody(raw, prefix.count)
    first = undefined
    return new FrameCursor(body, prefix.count)
  }
  return { header: prefix.header, count: prefix.count, bytes: prefix.rawBytes, reader }
}

/** A stream may ask for a window as large as it likes; no body is larger than 2^25 bytes. */
const ZSTD_LIMITS = { [constants.ZSTD_d_windowLogMax]: 25 }

function unpack(body: Uint8Array, prefix: FramePrefix): Uint8Array {
  const raw = prefix.compressed ? decompress(body, prefix.rawBytes) : body
  if (raw.length !== prefix.rawBytes) throw new FrameError('corrupt', `a body of ${raw.length} bytes, not ${prefix.rawBytes}`)
  return raw
}

function decompress(body: Uint8Array, rawBytes: number): Uint8Array {
  try {
    return zstdDecompressSync(body, { maxOutputLength: Math.max(1, rawBytes), params: ZSTD_LIMITS })
  } catch (cause) {
    throw new FrameError('corrupt', 'the frame body does not decompress', { cause })
  }
}
