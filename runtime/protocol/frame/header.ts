import { crc32 } from 'node:zlib'
import { ByteReader } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import { FrameError } from './error.ts'
import { ENTRIES_MAX, ID_BYTES_MAX, RAW_BYTES_MAX } from './limits.ts'

/** Who sent a frame, and where it belongs in the order of its channel (protocol.md, B). */
export interface FrameHeader {
  /** Incarnation of the pipeline's state. */
  run: string
  /** Global subtask number of the producer, uint32. */
  producer: number
  /** Commit version that the frame belongs to. */
  version: number
  /** The execution of user code that produced it (protocol.md, A3). */
  attempt: string
  /** Number of the frame within its version on this channel, from 1. */
  index: number
  /** (version, index) of the frame before on this channel (protocol.md, B1); 0, 0 for none. */
  predVersion: number
  predIndex: number
}

/** The header and what the decoder needs to find and check the body. */
export interface FramePrefix {
  header: FrameHeader
  compressed: boolean
  count: number
  rawBytes: number
  bodyStart: number
  bodyEnd: number
}

const MAGIC = Uint8Array.of(0x89, 0x4d, 0x52, 0x46)
export const FORMAT_VERSION = 1
const FIXED_BYTES = 20
const CRC_BYTES = 4

/** Wraps a body, compressed or not, into a whole frame. @throws RangeError for a header that breaks its own rules */
export function sealFrame(
  header: FrameHeader,
  body: Uint8Array,
  raw: { bytes: number; count: number; compressed: boolean },
): Uint8Array {
  const variable = encodeHeader(header)
  const bodyStart = FIXED_BYTES + variable.length + CRC_BYTES
  const data = new Uint8Array(bodyStart + body.length + CRC_BYTES)
  const view = new DataView(data.buffer)
  data.set(MAGIC)
  data[4] = FORMAT_VERSION
  data[5] = raw.compressed ? 1 : 0
  view.setUint16(6, variable.length, true)
  view.setUint32(8, data.length, true)
  view.setUint32(12, raw.bytes, true)
  view.setUint32(16, raw.count, true)
  data.set(variable, FIXED_BYTES)
  view.setUint32(bodyStart - CRC_BYTES, crc32(data.subarray(0, bodyStart - CRC_BYTES)), true)
  data.set(body, bodyStart)
  view.setUint32(data.length - CRC_BYTES, crc32(data.subarray(0, data.length - CRC_BYTES)), true)
  return data
}

function encodeHeader(header: FrameHeader): Uint8Array {
  if (!(header.producer >>> 0 === header.producer))
    throw new RangeError(`frame header: producer ${header.producer} is not a uint32`)
  const out = new ByteWriter()
  out.varint(header.producer)
  for (const field of ['version', 'index', 'predVersion', 'predIndex'] as const) {
    const value = header[field]
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`frame header: ${field} ${value} is not a safe integer from 0`)
    out.varint(value)
  }
  for (const field of ['run', 'attempt'] as const) {
    const bytes = Buffer.byteLength(header[field])
    if (bytes > ID_BYTES_MAX || !header[field].isWellFormed())
      throw new RangeError(`frame header: ${field} is too long or not well-formed`)
    out.varint(bytes)
    out.utf8(header[field])
  }
  return out.buffer.subarray(0, out.at)
}

/** Checks magic, version, header checksum and length, in that order, and reads the header. @throws FrameError */
export function readPrefix(data: Uint8Array): FramePrefix {
  for (let i = 0; i < MAGIC.length; i++) {
    if (i >= data.length) throw new FrameError('truncated', `a frame of ${data.length} bytes`)
    if (data[i] !== MAGIC[i]) throw new FrameError('magic', 'not a frame: the magic bytes are missing')
  }
  if (data.length < FIXED_BYTES) throw new FrameError('truncated', `a frame of ${data.length} bytes`)
  if (data[4] !== FORMAT_VERSION)
    throw new FrameError('version', `frame format ${data[4]}; this Millrace reads ${FORMAT_VERSION}`)
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const crcAt = FIXED_BYTES + view.getUint16(6, true)
  if (data.length < crcAt + CRC_BYTES) throw new FrameError('truncated', `a frame of ${data.length} bytes ends in its header`)
  if (crc32(data.subarray(0, crcAt)) !== view.getUint32(crcAt, true))
    throw new FrameError('checksum', 'the frame header fails its checksum')
  const length = view.getUint32(8, true)
  if (data.length < length) throw new FrameError('truncated', `a frame of ${length} bytes is cut at ${data.length}`)
  if (data.length > length || data[5]! > 1) throw new FrameError('corrupt', 'bytes behind the frame, or unknown flags')
  const prefix = {
    header: decodeHeader(new ByteReader(data, FIXED_BYTES, crcAt)),
    compressed: data[5] === 1,
    rawBytes: view.getUint32(12, true),
    count: view.getUint32(16, true),
    bodyStart: crcAt + CRC_BYTES,
    bodyEnd: length - CRC_BYTES,
  }
  if (prefix.rawBytes > RAW_BYTES_MAX || prefix.count > ENTRIES_MAX || prefix.bodyEnd < prefix.bodyStart)
    throw new FrameError('corrupt', 'the frame exceeds the limits of its format')
  return prefix
}

function decodeHeader(from: ByteReader): FrameHeader {
  const [producer, version, index, predVersion, predIndex] = [
    from.varint(),
    from.varint(),
    from.varint(),
    from.varint(),
    from.varint(),
  ]
  const run = from.utf8(from.varint())
  const attempt = from.utf8(from.varint())
  if (from.at !== from.end || producer > 0xffffffff) from.fail('the header')
  return { run, producer, version, attempt, index, predVersion, predIndex }
}

/** Verifies the checksum over everything. @throws FrameError `checksum` */
export function checkFrame(data: Uint8Array, prefix: FramePrefix): void {
  const stored = new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(prefix.bodyEnd, true)
  if (crc32(data.subarray(0, prefix.bodyEnd)) !== stored) throw new FrameError('checksum', 'the frame fails its checksum')
}
